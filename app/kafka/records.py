"""What is read of a record, whichever reader brought it."""

from collections.abc import Sequence
from typing import Protocol


class Record(Protocol):
    """A record as Kafka keeps it: aiokafka's, or an `Unreadable` that stands for a batch."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Epoch millis; of its writer or of the broker, as the topic has it. -1: it has none."""

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
        """0: the writer's time, 1: the broker's."""


class PlacedRecord(Record, Protocol):
    """A record that says where it stands, as readers of whole topics bring it."""

    @property
    def topic(self) -> str:
        """The name of its topic."""

    @property
    def partition(self) -> int:
        """The number of its partition."""
