"""A stand-in for records that cannot be read."""

from typing import Final

from msgspec import Struct


class Unreadable(Struct, gc=False):
    """A batch that was not unpacked, delivered in place of its last record.

    To readers of records it has no key and no value.
    """

    offset: int
    """Offset of the last record."""

    timestamp: int
    """The latest timestamp of its records, in epoch millis."""

    encoded: bytes
    """The batch as Kafka stores it."""

    why: str
    """Why it was not unpacked, for people to read, with its place, size and hash."""

    timestamp_type: int = 0
    """As in a record; 0 is the writer's time."""

    key: Final[None] = None
    value: Final[None] = None
    headers: Final[tuple[()]] = ()
    checksum: Final[None] = None
