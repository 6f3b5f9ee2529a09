"""Records without a time."""

from typing import Final

from msgspec import Struct

NO_TIMESTAMP: Final = -1
"""What Kafka and its clients say of a record whose writer gave no time."""


class Untimed(Struct, gc=False):
    """A record of Kafka's first message format, which had no times.

    aiokafka's record of it says `None`. Brokers before Kafka 4.0 keep that format where
    `message.format.version` tells them to, and later ones what was written before their upgrade.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: Final[int] = NO_TIMESTAMP
    timestamp_type: Final[int] = 0
    headers: Final[tuple[()]] = ()
    checksum: Final[None] = None
