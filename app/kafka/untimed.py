"""Records without a time."""

from typing import Final

from msgspec import Struct

NO_TIMESTAMP: Final = -1
"""Kafka's value for a record without a timestamp."""


class Untimed(Struct, gc=False):
    """A record in Kafka's first message format (version 0), which had no timestamps.

    aiokafka gives such a record the timestamp `None`. Brokers before Kafka 4.0 write this format if
    `message.format.version` says so, and later ones still have what was written before their
    upgrade.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: Final[int] = NO_TIMESTAMP
    timestamp_type: Final[int] = 0
    headers: Final[tuple[()]] = ()
    checksum: Final[None] = None
