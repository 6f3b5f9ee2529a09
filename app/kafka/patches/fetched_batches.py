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

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from time import monotonic
from typing import Any

import google_crc32c
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from app.kafka.batch_layout import (
    AFTER_LENGTH,
    COUNT_AT,
    EPOCH_AT,
    LENGTH_AT,
    RECORDS_FROM,
    SUMMED_FROM,
)
from app.kafka.errors import error_text
from app.kafka.gathering import Gathering
from app.kafka.patches.counted_headers import too_many, uncompressed, with_readable_names
from app.kafka.patches.fetch_budget import keep_within
from app.kafka.patches.finished_fetches import notice_finished
from app.kafka.patches.unpacked_size import SLACK, most_bytes
from app.kafka.unreadable import Unreadable
from app.kafka.untimed import NO_TIMESTAMP, Untimed

CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes of values in a chunk, give or take a batch. Larger chunks would cost less per record, but
there may be one in memory per partition, several times its fetched size, because batches are
compressed.
"""

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

MIB = 1024 * 1024

LARGEST = 16 * MIB
"""The most bytes of unpacked records that a batch may have: the default of
`PERSISTER_MAX_RECORD_BYTES`.
"""

_COUNTED = 2
"""The first batch format whose header has the number of records."""

_length = Struct(">i").unpack_from

_OF_A_RECORD = 200
"""Memory that a record takes in bytes, beside its contents."""

_OF_A_HEADER = 100
"""Memory that a header takes in bytes, beside its contents."""

_MOST_FOR_RECORDS = 2
"""How many times the size limit of a batch its records may take in memory."""

_MOST_HEADERS, _OF_EACH_RECORD = 10_000, 10
"""How many headers a batch may have, plus some for each record; one or two per record are usual."""

_COUNTED_BEFORE = MIB
"""Size in bytes from which on a batch's headers are counted before unpacking; a smaller batch can
do no harm.
"""

_TOGETHER = 10_000
"""How many records of one batch are handed over at a time: even an empty record costs memory once
it is processed.
"""


class TooManyHeaders(Exception):  # noqa: N818 - what is the case
    """The records of a batch have more headers than are worth the memory and time."""

    def __init__(self, most: int) -> None:
        super().__init__(f"they have more than {most} headers")


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
    """

    def __init__(self, fetched: PartitionRecords, largest: int = LARGEST) -> None:
        self._largest = largest
        self._tp = fetched._tp  # noqa: SLF001
        self._fetched: Batches = fetched._records  # noqa: SLF001
        # A generator that never started would keep this object alive, and with it the whole answer.
        fetched._records_iterator = None  # noqa: SLF001
        self.next_fetch_offset: int = fetched.next_fetch_offset
        """The offset to fetch next, after the records taken so far."""
        self._start = 0
        self._rest: list[Any] = []
        """The remaining records of a batch with very many, in reverse order."""
        self._next_batch_at = 0
        """The offset after the batch of `_rest`."""
        self._damaged = False
        self.epoch: int | None = None
        """Leader epoch of the last batch taken; None if unknown."""
        self.taken = 0
        """How many bytes the last `take` returned, as `weight` counts them."""

    @property
    def waiting(self) -> int:
        """Bytes kept: the encoded ones, plus the memory of records that are already unpacked."""
        return len(self._fetched.encoded) + len(self._rest) * _OF_A_RECORD

    @property
    def ended(self) -> bool:
        """Whether nothing is left to take."""
        return not self._rest and (self._damaged or not self._fetched.has_next())

    def take(self, enough: int) -> list[Any]:
        """The next records, batch by batch until they have `enough` bytes.

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
        self.taken = size
        return taken

    def _some(self) -> list[Any]:
        """The records of the next batch, or more of a batch with very many."""
        if not self._rest:
            start = self._start
            batch = self._next_batch()
            records = self._records(batch, memoryview(self._fetched.encoded)[start : self._start])
            if len(records) <= _TOGETHER:
                return records
            self._rest, self._next_batch_at = records[::-1], self.next_fetch_offset
        some = self._rest[: -_TOGETHER - 1 : -1]
        del self._rest[-_TOGETHER:]
        self.next_fetch_offset = some[-1].offset + 1 if self._rest else self._next_batch_at
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
        if getattr(batch, "magic", 0) >= _COUNTED:
            (self.epoch,) = _length(encoded, self._start + EPOCH_AT)
        self._start = end
        return batch

    def _records(self, batch: Any, encoded: memoryview) -> list[Any]:
        wanted = self.next_fetch_offset
        # Not the offset after the last record, because compaction may have removed the batch's end.
        self.next_fetch_offset = batch.next_offset
        if batch.is_control_batch:
            return []
        records = unpack(batch, encoded, self._largest)
        if records and records[0].offset < wanted:  # batches are fetched whole
            records = [record for record in records if record.offset >= wanted]
        return records


class Entries(Unpacked):
    """`Unpacked` for a table's changelog: yields aiokafka's records, up to the very last offset.

    Faust considers a changelog read when it has seen the record at its last offset. That record is
    missing if the log ends with a transaction marker, or if compaction has removed the end of a
    batch; then an empty record takes its place.
    """

    def _some(self) -> list[Any]:
        made = [self._entry(record) for record in super()._some()]
        last = self.next_fetch_offset - 1
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


def end_of(encoded: bytes, start: int) -> int:
    """The end of the batch that begins at this position."""
    return start + AFTER_LENGTH + int(_length(encoded, start + LENGTH_AT)[0])


def weight(records: Sequence[Any]) -> int:
    """Bytes of the records' contents, or of the objects around them if that is more.

    Keys and headers count like values, and a million empty records have a weight, too.
    """
    size = sum([len(record.value or b"") + len(record.key or b"") for record in records])
    without = len(records) * _OF_A_RECORD
    for headers in [record.headers for record in records if record.headers]:
        size += sum(len(name) + len(value or b"") for name, value in headers)
        without += len(headers) * _OF_A_HEADER
    return max(size, without)


def unpack(batch: Any, encoded: memoryview, largest: int, most: int | None = None) -> list[Any]:
    """The records of a batch, or one `Unreadable` in place of a batch that is too large or broken.

    Whoever may write to a topic can write a batch that unpacks to gigabytes, or one that aiokafka
    fails at. A batch has the records of only one producer, so nobody else's are lost with it.
    """
    limit = largest + SLACK
    # Batches of older formats lack this property.
    codec = getattr(batch, "compression_type", 0)
    packed = encoded[RECORDS_FROM:]
    size = most_bytes(codec, packed, limit)
    if codec and size > limit:
        return [_unreadable(batch, encoded, f"they unpack to more than {limit} bytes")]
    if getattr(batch, "magic", 0) >= _COUNTED:
        (count,) = _length(encoded, COUNT_AT)
        if count * _OF_A_RECORD > _MOST_FOR_RECORDS * limit or (most and count > most):
            return [_unreadable(batch, encoded, f"there are {count} of them")]
    try:
        try:
            records = _records(batch, encoded, size)
        except UnicodeDecodeError:
            readable = with_readable_names(*_plain(batch, encoded))
            records = _records(DefaultRecordBatch(readable), memoryview(readable), size)
    except TooManyHeaders as error:
        return [_unreadable(batch, encoded, str(error))]
    except Exception as error:  # noqa: BLE001 - whatever the bytes make aiokafka raise
        return [_unreadable(batch, encoded, f"they can't be unpacked ({type(error).__name__})")]
    if records and records[0].timestamp is None:
        return [Untimed(record.offset, record.key, record.value) for record in records]
    return records


def _records(batch: Any, encoded: memoryview, size: int) -> list[Any]:
    """The records of a batch of `size` uncompressed bytes.

    Raises:
        TooManyHeaders: they have too many headers.
        Exception: whatever the bytes make aiokafka raise.
    """
    if getattr(batch, "magic", 0) < _COUNTED or size <= 2 * _MOST_HEADERS:
        return list(batch)
    (count,) = _length(encoded, COUNT_AT)
    most = _MOST_HEADERS + _OF_EACH_RECORD * count
    if size > _COUNTED_BEFORE:
        plain, _ = _plain(batch, encoded)
        if too_many(plain, count, most):
            raise TooManyHeaders(most)
        return list(DefaultRecordBatch(plain) if isinstance(plain, bytes) else batch)
    records = list(batch)
    if sum([len(record.headers) for record in records]) > most:
        raise TooManyHeaders(most)
    return records


def _plain(batch: Any, encoded: memoryview) -> tuple[bytes | memoryview, int]:
    """A batch without compression, and the number of its records."""
    codec = batch.compression_type
    return uncompressed(encoded, codec) if codec else encoded, _length(encoded, COUNT_AT)[0]


def _unreadable(batch: Any, encoded: memoryview, why: str) -> Unreadable:
    last = batch.next_offset - 1
    first = getattr(batch, "base_offset", last)
    hash_ = hashlib.sha256(encoded).hexdigest()
    return Unreadable(
        offset=last,
        timestamp=max(0, getattr(batch, "max_timestamp", 0) or 0),
        timestamp_type=getattr(batch, "timestamp_type", 0),
        encoded=bytes(encoded),
        why=f"the records of the batch from offset {first} to {last}: {why}; as it stands in "
        f"Kafka, it has {len(encoded)} bytes with the SHA-256 {hash_}",
    )


def intact(batch: Any, encoded: bytes, start: int, end: int) -> bool:
    """Whether the batch between these positions matches its checksum."""
    if _SUMS_FAST and isinstance(batch, DefaultRecordBatch):
        sum_ = google_crc32c.value(encoded[start + SUMMED_FROM : end])
        return bool(sum_ == batch.crc)
    return bool(batch.validate_crc())


class Fetch(FetchResult):
    """The result of a fetch for one partition, taken a chunk's worth at a time."""

    _partition_records: Any
    shelf: "Fetched | None" = None
    """The `Fetched` that holds it."""

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next records; aiokafka's method returns all of them, whatever their size."""
        records = self._partition_records
        if not isinstance(records, Unpacked):
            others: list[Any] = super().getall(max_records)
            return others
        if not self.check_assignment(self._topic_partition):
            return []
        shelf = self.shelf
        enough = min(CHUNK_BYTES, shelf.allowance) if shelf else CHUNK_BYTES
        if enough <= 0:
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
            shelf.gathering.taken(len(taken))
            if records.epoch is not None and records.epoch >= 0:
                shelf.epochs[TP(*self._topic_partition)] = records.epoch
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
    """

    def __init__(
        self, chunked: Callable[[TP], bool], largest: int = LARGEST, at_once: int = AT_ONCE
    ) -> None:
        super().__init__()
        self._chunked = chunked
        self._largest = largest
        self._at_once = at_once
        self._wanted: dict[TP, float] = {}
        self._now = 0.0
        self.allowance = at_once
        """Bytes that may still be handed over this time."""
        self.gathering = Gathering()
        self.epochs: dict[TP, int] = {}
        """Leader epoch of the last batch taken, by partition."""
        self._damaged: dict[TP, int] = {}
        self.arrived_at = 0.0
        """When records last arrived (monotonic seconds)."""

    def hand_over(self, wanted: Iterable[TP], now: float) -> None:
        """Renew the allowance, to hand over records of these partitions; `now` is monotonic."""
        self.allowance = self._at_once
        self.want(wanted, now)

    def want(self, partitions: Iterable[TP], now: float) -> None:
        """Note that records of these partitions are wanted."""
        self._wanted.update(dict.fromkeys(partitions, now))
        self._now = now

    def waiting(self) -> int:
        """How many bytes are waiting here, as they are in Kafka."""
        return sum([_size(result) for result in self.values()])

    def set_aside(self) -> None:
        """Drop records that nobody has asked for in a while, so that others can be fetched.

        These are records of topics that a breaker holds, of the internal topic while the database
        is down, and of changelogs whose recovery is over.
        """
        for tp in [tp for tp in self if self.unwanted(TP(*tp))]:
            del self[tp]

    def unwanted(self, tp: TP) -> bool:
        """Whether nobody has asked for records of a partition in a while."""
        return self._now - self._wanted.get(tp, self._now) > UNWANTED

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
            unpacked = Unpacked if chunked else Entries
            result._partition_records = unpacked(  # noqa: SLF001
                result._partition_records,  # noqa: SLF001
                self._largest,
            )
            if isinstance(result, Fetch):
                result.shelf = self
            if chunked:
                self.gathering.answered(TP(*tp))
        self.arrived_at = monotonic()
        super().__setitem__(tp, result)


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
) -> Fetched:
    """Make an aiokafka `Fetcher`, before its first fetch, unpack records as this module does.

    Args:
        fetcher: the fetcher of a consumer that has just been started.
        chunked: tells whether a partition is delivered as chunks; others are read as `Entries`.
        largest: see `Unpacked`.
        budget: bytes that may wait, as they are in Kafka; half as many are handed over at a time.
    """
    aiokafka_fetcher.MemoryRecords = Batches
    aiokafka_fetcher.FetchResult = Fetch
    shelf = fetcher._records = Fetched(chunked, largest, budget // 2)  # noqa: SLF001
    keep_within(fetcher, shelf, budget)
    notice_finished(fetcher)
    return shelf
