"""Lets a consumer of whole topics unpack a batch only up to a size, and take a few at a time.

aiokafka 0.14 unpacks whatever a batch holds, and hands over all that one fetch brought. Who may
write to a topic can so end whoever looks through it: a megabyte may become gigabytes.

Not reported.

- Symptom: a command that reads a topic grows until it is killed.
- Reproduction: `getmany` on a topic with one batch of 300 MB of zeros, packed with zstd.
- Mend: a bound on what a batch may become, as Kafka's own clients have none either.

Beside `app.kafka.patches.fetched_batches`, which is for the worker's chunks: this one leaves
aiokafka's own reading as it is, with what it knows of aborted transactions.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import FetchResult

from app.kafka.patches.fetched_batches import Batches, end_of
from app.kafka.patches.unpacking import Room, unpack, weight

TOGETHER = 4 * 1024 * 1024
"""Bytes that are handed over at a time, give or take a record."""

MOST_TOGETHER = 5000
"""Records that are handed over at a time: some ten milliseconds' work, for which others wait."""


def _taken(fetched: Any, most: int | None = None) -> list[Any]:
    """The next records of a fetch; aiokafka's method returns all of them, whatever their size."""
    taken: list[Any] = []
    if not fetched.check_assignment(fetched._topic_partition) or not fetched.has_more():  # noqa: SLF001
        return taken
    size = 0
    for record in fetched._partition_records:  # noqa: SLF001
        taken.append(record)
        size += weight([record])
        if size >= TOGETHER or len(taken) == (most or MOST_TOGETHER):
            fetched._update_position()  # noqa: SLF001
            return taken
    fetched._update_position()  # noqa: SLF001
    fetched._partition_records = None  # noqa: SLF001
    return taken


class BatchLimits(NamedTuple):
    """Of one batch."""

    largest: int
    """Bytes of unpacked records."""
    most: int | None
    """Number of records."""


class _Checked:
    """A batch that is unpacked up to a size; a larger one becomes one record without a value."""

    def __init__(self, batch: Any, encoded: memoryview, limits: BatchLimits, room: Room) -> None:
        self._batch = batch
        self._encoded = encoded
        self._limits = limits
        self._room = room

    def __iter__(self) -> Iterator[Any]:
        return iter(unpack(self._batch, self._encoded, *self._limits, room=self._room))

    def __next__(self) -> Any:
        return next(self._batch)  # the marker of a transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)


class _CheckedBatches:
    """Replaces aiokafka's `MemoryRecords`."""

    def __init__(self, batches: Batches, limits: BatchLimits, room: Room) -> None:
        self._batches = batches
        self._limits = limits
        self._room = room
        self._start = 0

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> _Checked:
        start, self._start = self._start, end_of(self._batches.encoded, self._start)
        encoded = memoryview(self._batches.encoded)[start : self._start]
        return _Checked(self._batches.next_batch(), encoded, self._limits, self._room)


class _Fetched(OrderedDict[Any, Any]):
    """Holds what aiokafka's fetcher has received, by partition, until it is taken."""

    def __init__(self, limits: BatchLimits) -> None:
        super().__init__()
        self._limits = limits
        self._room = Room()
        self.received = 0

    def __setitem__(self, tp: Any, result: Any) -> None:
        """Keep a result (or an error) of a fetch."""
        if isinstance(result, FetchResult):
            records = result._partition_records  # noqa: SLF001
            self.received += len(records._records.encoded)  # noqa: SLF001
            # Its generator has not started yet, and will read this attribute when it does.
            batches = records._records  # noqa: SLF001
            records._records = _CheckedBatches(batches, self._limits, self._room)  # noqa: SLF001
            # Set on the object, because aiokafka checks for the exact type, which the worker's
            # patch (`fetched_batches`) may have replaced.
            result.getall = partial(_taken, result)
        super().__setitem__(tp, result)


class Received(Protocol):
    """What a consumer has received."""

    received: int
    """Bytes of batches, as they are in Kafka."""


def check_batches(consumer: Any, largest: int, most: int | None = None) -> Received:
    """Bound what an `AIOKafkaConsumer` unpacks; it has just been started and not fetched yet.

    Args:
        consumer: a consumer without a group.
        largest: the most bytes of unpacked records that a batch may have.
        most: the most records that a batch may have.
    """
    aiokafka_fetcher.MemoryRecords = Batches
    fetched = consumer._fetcher._records = _Fetched(BatchLimits(largest, most))  # noqa: SLF001
    return fetched
