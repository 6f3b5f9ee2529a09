"""Traces an activation: every place where it was seen, and what was decided there.

- `activation`: pure; parses what is asked for.
- `sighting`: pure; what one record in Kafka says about an activation.
- `account`: pure; all sightings of it, and the conclusion.
- `search`: searches Kafka and the database, in bounded time.
- `desk`: the same within a worker, which has other work to do.
"""

from app.monitoring.trace.account import Account
from app.monitoring.trace.search import Limits, trace

__all__ = ["Account", "Limits", "trace"]
