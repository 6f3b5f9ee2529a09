"""What the workers of a group tell one another, so that any worker's page shows all of them.

- `snapshot`: pure; what one worker reports about itself, and how others read it.
- `meter`: pure; rates and latencies from counts that only grow.
- `roster`: pure; the last snapshot of each worker, and who has gone silent.
- `rivals`: pure; whether another worker writes to another database.
- `one_database`: the service that keeps such a worker from starting.
- `gathering`: builds this worker's own snapshot; `sampling`: a sample of all, for the charts.
- `exchange`: the service that publishes this worker's snapshot and reads those of the others.
"""

from app.monitoring.group.exchange import Exchange
from app.monitoring.group.one_database import OneDatabase
from app.monitoring.group.roster import Heard, Roster

__all__ = ["Exchange", "Heard", "OneDatabase", "Roster"]
