"""Whether the work moves, asked of Kafka every few seconds; readiness follows it.

- `facts`, `rules`, `judge`, `partitions`, `lasting`, `verdict`: pure; what is known, and what it
  means.
"""
