"""Traces an activation: every place where it was seen, and what was decided there.

- `activation`: pure; parses the id that somebody asks for.
- `sighting`: pure; what one record in Kafka says about an activation. `fields` reads it.
- `account`: pure; all sightings of an activation, and the conclusion.
- `search`: searches Kafka and the database, in bounded time.
- `desk`: does so within a worker, which has other work to do.
"""

from app.monitoring.trace.account import Account
from app.monitoring.trace.search import Limits, trace

__all__ = ["Account", "Limits", "trace"]
