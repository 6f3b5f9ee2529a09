"""How long Kafka still keeps what is not read yet, and a warning while there is time to act.

- `policy`: pure; what is left of a topic's retention.
- `unread`: asks Kafka for what that depends on.
- `watch`: the service that looks from time to time and warns.
"""

from app.monitoring.retention.unread import Unread
from app.monitoring.retention.watch import Retention

__all__ = ["Retention", "Unread"]
