"""Whether the work moves, asked of Kafka every few seconds; readiness follows it.

- `facts`, `rules`, `judge`, `partitions`, `lasting`, `verdict`: pure; what is known, and what it
  means.
- `knowing`: what this worker knows of itself.
- `reachability`: whether Kafka answers.
- `watch`: the service.
"""

from app.monitoring.progress.knowing import Knowledge
from app.monitoring.progress.rules import rules_of
from app.monitoring.progress.verdict import PartitionVerdict, State, Verdict
from app.monitoring.progress.watch import Progress

__all__ = ["Knowledge", "PartitionVerdict", "Progress", "State", "Verdict", "rules_of"]
