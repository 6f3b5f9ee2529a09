"""How a worker reports on itself.

- `outcomes`: the outcome of every record, counted once.
- `status`, `metrics`: the state as JSON and for Prometheus.
- `retention`: how long Kafka will still keep unread records.
- `progress`: whether the work makes progress, and thus whether the worker is ready.
- `group`: what the workers of a group tell one another; `history`: the last hour, for the charts.
- `page`, `trace`: the status page, and the search for one activation.
- `web`, `sign_in`: the pages, and who may see them.
"""
