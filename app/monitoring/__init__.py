"""How a worker reports on itself.

- `outcomes`: the outcome of every record, counted once.
- `status`, `metrics`: the state as JSON and for Prometheus.
- `retention`: how long Kafka still keeps what was not read yet.
- `web`: the pages, and who may see them.
"""
