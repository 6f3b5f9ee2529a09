"""Warns before Kafka's retention deletes unread records, while there is time to act.

- `policy`: pure; how much is left of a topic's retention.
- `unread`: reads retention settings and the oldest unread records from Kafka.
- `watch`: the service that checks regularly and warns.
"""

from app.monitoring.retention.unread import Unread
from app.monitoring.retention.watch import Retention

__all__ = ["Retention", "Unread"]
