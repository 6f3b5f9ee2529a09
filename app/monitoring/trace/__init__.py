"""Where is an activation: every place where it was seen, and what was decided there.

- `sighting`: pure; what a record of Kafka says about one activation.
- `account`: pure; everything that is known of it, and the conclusion.
- `search`: asks Kafka and the database, in bounded time.
"""

from app.monitoring.trace.account import Account
from app.monitoring.trace.search import trace

__all__ = ["Account", "trace"]
