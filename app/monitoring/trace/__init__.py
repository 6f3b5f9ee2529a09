"""Where is an activation: every place where it was seen, and what was decided there.

- `activation`: pure; how one is asked for.
- `sighting`: pure; what a record of Kafka says about one activation.
- `account`: pure; everything that is known of it, and the conclusion.
- `search`: asks Kafka and the database, in bounded time.
- `desk`: the same within a worker, which has other work to do.
"""

from app.monitoring.trace.account import Account
from app.monitoring.trace.search import Limits, trace

__all__ = ["Account", "Limits", "trace"]
