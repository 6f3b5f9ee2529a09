"""What is read of a record, whichever reader brought it."""

from collections.abc import Sequence
from operator import lt
from typing import Protocol


class Record(Protocol):
    """A record in Kafka: aiokafka's, or an `Unreadable` in place of a batch."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Epoch millis, set by its writer or the broker (`timestamp_type`); -1 if it has none."""

    @property
    def key(self) -> bytes | None:
        """As it was written."""

    @property
    def value(self) -> bytes | None:
        """As it was written; None for a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values; a name may occur more than once."""

    @property
    def timestamp_type(self) -> int:
        """0: set by the writer (`CreateTime`), 1: set by the broker (`LogAppendTime`)."""


class PlacedRecord(Record, Protocol):
    """A record with its topic and partition, as readers of whole topics return it."""

    @property
    def topic(self) -> str:
        """The name of its topic."""

    @property
    def partition(self) -> int:
        """The number of its partition."""


def in_order(records: Sequence[Record]) -> bool:
    """Whether each record's offset is greater than the one before it."""
    offsets = [record.offset for record in records]
    return all(map(lt, offsets, offsets[1:]))
