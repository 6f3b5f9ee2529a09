"""A stand-in for records that cannot be read."""

from typing import Final

from msgspec import Struct


class Unreadable(Struct, gc=False):
    """A batch of records that was not unpacked, delivered in place of its last record.

    Read as a record, it has no value.
    """

    offset: int
    """Of the last record."""

    timestamp: int
    """The latest of its records, in epoch millis."""

    encoded: bytes
    """The batch as it stands in Kafka."""

    why: str
    """For a person, with place, size and hash."""

    timestamp_type: int = 0
    """As of a record; 0: when it was made."""

    key: Final[None] = None
    value: Final[None] = None
    headers: Final[tuple[()]] = ()
    checksum: Final[None] = None
