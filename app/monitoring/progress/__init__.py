"""Watches whether the work makes progress, by asking Kafka every few seconds; readiness follows.

- `facts`, `rules`, `judge`, `partitions`, `lasting`, `verdict`: pure; the facts, and the verdict on
  them.
- `knowing`: this worker's own state.
- `reachability`: whether Kafka answers.
- `watch`: the service.
"""

from app.monitoring.progress.knowing import Knowledge
from app.monitoring.progress.partitions import NOT_YET, STORES_NOTHING
from app.monitoring.progress.rules import rules_of
from app.monitoring.progress.verdict import PartitionVerdict, State, Verdict
from app.monitoring.progress.watch import Progress

__all__ = [
    "NOT_YET",
    "STORES_NOTHING",
    "Knowledge",
    "PartitionVerdict",
    "Progress",
    "State",
    "Verdict",
    "rules_of",
]
