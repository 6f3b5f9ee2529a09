"""Decodes fetched batches in C, without a ConsumerRecord each.

aiokafka 0.14 turns each record of a batch into a `ConsumerRecord` of eleven fields, one at a time
through two generators in Python, and sums up each byte of a batch in software: together that takes
three times as long as unpacking it. Of a chunk nothing is read but offset, timestamp, key, value
and headers, and those a batch's own records have; and processors have an instruction for the sum.

Not reported.

- Symptom: of the CPU time of a consumer with records of 1 KB, two thirds go into
  `PartitionRecords._unpack_records`, `_consumer_record` and `calc_crc32c_py`'s compiled twin.
- Reproduction: profile `getmany` on a topic of a million such records.
- Mend: `google-crc32c` where it is installed, and a way to get a batch's records as they are.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from time import monotonic
from typing import Any, TypeAlias

import google_crc32c
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from app.kafka.batch_layout import AFTER_LENGTH, EPOCH_AT, LENGTH_AT, MAGIC_AT, SUMMED_FROM
from app.kafka.errors import error_text
from app.kafka.gathering import Gathering
from app.kafka.patches.fetch_budget import keep_within
from app.kafka.patches.finished_fetches import notice_finished
from app.kafka.patches.new_leaders import NewLeaders
from app.kafka.patches.unpacking import (
    CHUNK_BYTES,
    COUNTED,
    LARGEST,
    LargeBatch,
    Room,
    unpack,
    weight,
)
from app.kafka.unreadable import Unreadable
from app.kafka.untimed import NO_TIMESTAMP

AT_ONCE = 16 * 1024 * 1024
"""Bytes of values that are handed over at a time, over all partitions: half of the default of
`PERSISTER_FETCH_BYTES`.
"""

UNWANTED = 2.0
"""Seconds after which fetched records that nobody has asked for may be dropped."""

DAMAGED_SECONDS = 1.0
"""Between two fetches of a batch that came damaged."""

logger = logging.getLogger(__name__)

_SUMS_FAST = google_crc32c.implementation == "c"

_length = Struct(">i").unpack_from


class Reassigned(Exception):  # noqa: N818 - what has happened
    """The partitions have been assigned anew since the hand-over began."""


class Batches(MemoryRecords):
    """aiokafka's batches of one partition, which also keep the encoded bytes."""

    def __init__(self, encoded: bytes) -> None:
        super().__init__(encoded)
        self.encoded = encoded


class Unpacked:
    """Replaces aiokafka's `PartitionRecords`: the records of the batches of one fetch.

    Args:
        fetched: the object to replace.
        largest: the most bytes of unpacked records that a batch may have.
        room: where the decompressed records of a large batch may stay.
    """

    def __init__(
        self, fetched: PartitionRecords, largest: int = LARGEST, room: Room | None = None
    ) -> None:
        self._largest = largest
        self._room = room or Room()
        self._tp = fetched._tp  # noqa: SLF001
        self._fetched: Batches = fetched._records  # noqa: SLF001
        # A generator that never started would keep this object alive, and with it the whole answer.
        fetched._records_iterator = None  # noqa: SLF001
        self.next_fetch_offset: int = fetched.next_fetch_offset
        """The offset to fetch next, after the records taken so far."""
        self._start = 0
        self._begun: LargeBatch | None = None
        self._after_begun = 0
        """The offset after the batch of `_begun`."""
        self._damaged = False
        self.epoch: int | None = None
        """Leader epoch of the last batch taken; None if unknown."""
        self.taken = 0
        """How many bytes the last `take` returned, as `weight` counts them."""

    @property
    def waiting(self) -> int:
        """Bytes kept, as they are in Kafka; `Room` has what there is beside them."""
        return len(self._fetched.encoded)

    @property
    def begun(self) -> bool:
        """Whether a part of a large batch has been taken, but not all of it.

        If it is dropped now, the batch has to be fetched, decompressed and looked at again.
        """
        return self._begun is not None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to take."""
        return not self._begun and (self._damaged or not self._fetched.has_next())

    @property
    def next_epoch(self) -> int | None:
        """Leader epoch of the batch that `take` would begin with; None if unknown or within it."""
        encoded = self._fetched.encoded
        if self.begun or self.ended or self._start + MAGIC_AT >= len(encoded):
            return None  # without a whole head, `take` tells of the damage
        if encoded[self._start + MAGIC_AT] < COUNTED:
            return None
        epoch: int = _length(encoded, self._start + EPOCH_AT)[0]
        return epoch if epoch >= 0 else None

    def take(self, enough: int) -> list[Any]:
        """The next records, batch by batch until they have `enough` bytes, or part of a large one.

        No batch of another epoch than the one before it: see `NewLeaders`.

        Raises:
            CorruptRecordException: a checksum is wrong, or there is no batch; the records have to
                be fetched again.
        """
        taken: list[Any] = []
        size = 0
        while size < enough and not self.ended:
            try:
                records = self._some()
            except CorruptRecordException:
                if not taken:
                    raise
                break  # what stands before it first; the next fetch begins there
            taken += records
            size += weight(records)
            if self._begun is not None:
                break  # a part is nearly a chunk
            if self.next_epoch not in (None, self.epoch):
                break
        self.taken = size
        return taken

    def _some(self) -> list[Any]:
        """The records of the next batch, or the next part of a large one."""
        if self._begun is None:
            start, wanted = self._start, self.next_fetch_offset
            batch = self._next_batch()
            # Not the offset after the last record, because compaction may have removed the batch's
            # end.
            self.next_fetch_offset = max(wanted, batch.next_offset)
            if batch.is_control_batch:
                return []
            encoded = memoryview(self._fetched.encoded)[start : self._start]
            records = unpack(batch, encoded, self._largest, room=self._room)
            if not isinstance(records, LargeBatch):
                return _from(wanted, records)
            self._begun, self._after_begun = records, self.next_fetch_offset
            self.next_fetch_offset = wanted
        return self._more(self._begun)

    def _more(self, large: LargeBatch) -> list[Any]:
        """The next part of a large batch; nothing if compaction left none from the offset on."""
        some: list[Any] = []
        while large.left and not some:
            some = _from(self.next_fetch_offset, large.take())
        if large.left:
            self.next_fetch_offset = some[-1].offset + 1
        else:
            self._begun, self.next_fetch_offset = None, self._after_begun
        return some

    def _next_batch(self) -> Any:
        encoded = self._fetched.encoded
        try:
            batch = self._fetched.next_batch()
        except CorruptRecordException:
            self._damaged = True
            raise
        end = end_of(encoded, self._start)
        if not intact(batch, encoded, self._start, end):
            self._damaged = True
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        if getattr(batch, "magic", 0) >= COUNTED:
            (self.epoch,) = _length(encoded, self._start + EPOCH_AT)
        self._start = end
        return batch


class Entries(Unpacked):
    """`Unpacked` for a table's changelog: yields aiokafka's records, up to the very last offset.

    Faust considers a changelog read when it has seen the record at its last offset. That record is
    missing if the log ends with a transaction marker, if compaction has removed the end of a batch,
    or if the table does not need it; then an empty record takes its place.

    Args:
        fetched: the object to replace.
        largest: the most bytes of unpacked records that a batch may have.
        room: where the decompressed records of a large batch may stay.
        sift: chooses the records that the table needs; None: all of them.
    """

    def __init__(
        self,
        fetched: PartitionRecords,
        largest: int = LARGEST,
        room: Room | None = None,
        sift: "Sift | None" = None,
    ) -> None:
        super().__init__(fetched, largest, room)
        self._sift = sift

    def take(self, enough: int) -> list[Any]:
        """The next records, as `Unpacked.take`."""
        records = super().take(enough)
        last = self.next_fetch_offset - 1
        if self._sift is not None:
            records, last = self._sift(TP(*self._tp), records, last)
        made = [self._entry(record) for record in records]
        if not made or made[-1].offset < last:
            made.append(self._entry(Unreadable(last, NO_TIMESTAMP, b"", "")))
        return made

    def _entry(self, record: Any) -> ConsumerRecord[Any, Any]:
        # Not None for a batch that was not unpacked, which would delete the table's entry.
        value = b"" if getattr(record, "encoded", None) else record.value
        return ConsumerRecord(
            topic=self._tp.topic,
            partition=self._tp.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            timestamp_type=record.timestamp_type,
            key=record.key,
            value=value,
            checksum=record.checksum,
            serialized_key_size=-1 if record.key is None else len(record.key),
            serialized_value_size=-1 if value is None else len(value),
            headers=tuple(record.headers),
        )


def _from(offset: int, records: list[Any]) -> list[Any]:
    """The records from an offset on: batches are fetched whole."""
    if records and records[0].offset < offset:
        return [record for record in records if record.offset >= offset]
    return records


def end_of(encoded: bytes, start: int) -> int:
    """The end of the batch that begins at this position."""
    return start + AFTER_LENGTH + int(_length(encoded, start + LENGTH_AT)[0])


def intact(batch: Any, encoded: bytes, start: int, end: int) -> bool:
    """Whether the batch between these positions matches its checksum."""
    if _SUMS_FAST and isinstance(batch, DefaultRecordBatch):
        sum_ = google_crc32c.value(encoded[start + SUMMED_FROM : end])
        return bool(sum_ == batch.crc)
    return bool(batch.validate_crc())


Sift: TypeAlias = Callable[[TP, Sequence[Any], int], tuple[list[Any], int]]
"""Chooses those of a changelog's records that its table needs; see `foreign_entries.Sieve.sift`."""


class Fetch(FetchResult):
    """The result of a fetch for one partition, taken a chunk's worth at a time."""

    _partition_records: Any
    shelf: "Fetched | None" = None
    """The `Fetched` that holds it."""

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next records; aiokafka's method returns all of them, whatever their size.

        Raises:
            Reassigned: they were fetched for an assignment that the hand-over is not for.
        """
        if self.shelf is not None and self.shelf.assignment is not self._assignment:
            raise Reassigned
        records = self._partition_records
        if not isinstance(records, Unpacked):
            others: list[Any] = super().getall(max_records)
            return others
        if not self.check_assignment(self._topic_partition):
            return []
        shelf = self.shelf
        enough = min(CHUNK_BYTES, shelf.allowance) if shelf else CHUNK_BYTES
        if enough <= 0 or (shelf and shelf.holds_back(TP(*self._topic_partition), records)):
            return []
        try:
            taken = records.take(enough)
        except CorruptRecordException as error:
            self._partition_records = None
            if shelf:
                shelf.leave_out(TP(*self._topic_partition), records.next_fetch_offset, error)
            return []
        if shelf:
            shelf.allowance -= records.taken
            shelf.turn(self._topic_partition)
            shelf.gathering.taken(len(taken))
            if records.epoch is not None and records.epoch >= 0:
                tp = TP(*self._topic_partition)
                shelf.leaders.taken(tp, records.epoch, records.next_fetch_offset)
        self._update_position()
        if records.ended:
            self._partition_records = None
        return taken


class Fetched(OrderedDict[Any, Any]):
    """Holds what aiokafka's fetcher has received, by partition, until it is taken.

    Args:
        chunked: tells whether a partition is delivered as chunks; others are tables' changelogs.
        largest: see `Unpacked`.
        at_once: bytes that are handed over at a time, over all partitions.
        sift: chooses the records that a table needs; None: all of them.
        leaders: told of what is taken, and asked whether what comes next may be.
    """

    def __init__(
        self,
        chunked: Callable[[TP], bool],
        largest: int = LARGEST,
        at_once: int = AT_ONCE,
        sift: Sift | None = None,
        *,
        leaders: NewLeaders | None = None,
    ) -> None:
        super().__init__()
        self._sift = sift
        self._chunked = chunked
        self._largest = largest
        self._room = Room()
        self._at_once = at_once
        self._wanted: dict[TP, float] = {}
        self._now = 0.0
        self.allowance = at_once
        """Bytes that may still be handed over this time."""
        self.gathering = Gathering()
        self.leaders = leaders or NewLeaders()
        """What was taken of each partition, and what has to wait."""
        self._damaged: dict[TP, int] = {}
        self.arrived_at = 0.0
        """When records last arrived (monotonic seconds)."""
        self.assignment: Any = None
        """aiokafka's assignment in which the hand-over under way began. One that waits while the
        group rebalances must not take records of the next assignment: Faust drops what it brings,
        and to aiokafka they have been read.
        """

    def keys(self) -> Any:
        """The partitions; aiokafka asks for them whenever it looks for records to hand over.

        Raises:
            Reassigned: the assignment in which the hand-over began is over.
        """
        if self.assignment is not None and not self.assignment.active:
            raise Reassigned
        return super().keys()

    def hand_over(self, wanted: Iterable[TP], now: float) -> None:
        """Renew the allowance, to hand over records of these partitions; `now` is monotonic."""
        self.allowance = self._at_once
        self.want(wanted, now)

    def want(self, partitions: Iterable[TP], now: float) -> None:
        """Note that records of these partitions are wanted."""
        self._wanted.update(dict.fromkeys(partitions, now))
        self._now = now

    def turn(self, tp: Any) -> None:
        """Let all other partitions come before this one, of which something was handed over."""
        self.move_to_end(tp)

    def waiting(self) -> int:
        """How many bytes are waiting here, as they are in Kafka."""
        return sum([_size(result) for result in self.values()])

    def set_aside(self) -> None:
        """Drop unwanted records, so that others can be fetched.

        These are records of topics that a breaker holds, of the internal topic while the database
        is down, of changelogs whose recovery is over, and what waits for its leader's answer. What
        has been begun goes last.
        """
        unwanted = [tp for tp in self if self.unwanted(TP(*tp))]
        for tp in [tp for tp in unwanted if not _begun(self[tp])] or unwanted:
            del self[tp]

    def unwanted(self, tp: TP) -> bool:
        """Whether nobody has asked for records of a partition in a while, or they have to wait."""
        return self._now - self._wanted.get(tp, self._now) > UNWANTED or self.leaders.is_waiting(tp)

    def holds_back(self, tp: TP, records: Unpacked) -> bool:
        """Whether records have to wait until it is known what their leader has."""
        epoch, offset = records.next_epoch, records.next_fetch_offset
        return self._chunked(tp) and self.leaders.holds_back(tp, epoch, offset)

    def leave_out(self, tp: TP, offset: int, error: CorruptRecordException) -> None:
        """Fetch a damaged batch again after a while; says so once for each."""
        self.gathering.leave_out(tp, DAMAGED_SECONDS)
        if self._damaged.get(tp) != offset:
            self._damaged[tp] = offset
            logger.warning(
                "The records of %s/%d from offset %d on come damaged (%s): fetching them again, "
                "each %g s. If that lasts, see the brokers' disks and what is between them and "
                "this worker.",
                *(tp.topic, tp.partition, offset, error_text(error), DAMAGED_SECONDS),
            )

    def __setitem__(self, tp: Any, result: Any) -> None:
        """Keep a result (or an error) of a fetch."""
        if isinstance(result, FetchResult):
            chunked = self._chunked(TP(*tp))
            records = result._partition_records  # noqa: SLF001
            result._partition_records = (  # noqa: SLF001
                Unpacked(records, self._largest, self._room)
                if chunked
                else Entries(records, self._largest, self._room, self._sift)
            )
            if isinstance(result, Fetch):
                result.shelf = self
            if chunked:
                self.gathering.answered(TP(*tp))
        self.arrived_at = monotonic()
        super().__setitem__(tp, result)


def _begun(result: Any) -> bool:
    """Whether a fetch's result has a batch of which only some was taken."""
    return getattr(getattr(result, "_partition_records", None), "begun", False)


def _size(result: Any) -> int:
    """How many bytes a fetch's result still holds."""
    records = getattr(result, "_partition_records", None)
    if isinstance(records, Unpacked):
        return records.waiting
    encoded = getattr(getattr(records, "_records", None), "encoded", b"")
    return len(encoded)


def unpack_chunks(
    fetcher: Any,
    chunked: Callable[[TP], bool],
    largest: int = LARGEST,
    budget: int = 2 * AT_ONCE,
    sift: Sift | None = None,
    *,
    leaders: NewLeaders | None = None,
) -> Fetched:
    """Make an aiokafka `Fetcher`, before its first fetch, unpack records as this module does.

    Args:
        fetcher: the fetcher of a consumer that has just been started.
        chunked: tells whether a partition is delivered as chunks; others are read as `Entries`.
        largest: see `Unpacked`.
        budget: bytes that may wait, as they are in Kafka; half as many are handed over at a time.
        sift: chooses the records that a table needs; None: all of them.
        leaders: see `Fetched`.
    """
    aiokafka_fetcher.MemoryRecords = Batches
    aiokafka_fetcher.FetchResult = Fetch
    shelf = fetcher._records = Fetched(chunked, largest, budget // 2, sift, leaders=leaders)  # noqa: SLF001
    keep_within(fetcher, shelf, budget)
    notice_finished(fetcher)
    return shelf
