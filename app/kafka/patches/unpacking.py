"""Unpacks a batch within bounds of memory and time, a large one a part at a time.

Whoever may write to a topic can write a batch that unpacks to gigabytes, or to a million records,
or one that aiokafka fails at. What is unpacked of a batch and not handed over yet is not kept: only
its bytes, and of at most one batch, whatever the number of partitions, the decompressed ones.

Nor need a record have the offset that it claims: of a batch that is not compressed, Kafka 4.1
checks the header alone. If records claim what cannot be, nothing of their batch is believed; else
the position would jump over what others have written.

For `fetched_batches` and `checked_batches`, which say what is mended and whether it was reported;
this changes nothing in aiokafka by itself.
"""

import hashlib
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any
from weakref import ReferenceType, ref

from aiokafka.record.default_records import DefaultRecordBatch

from app.kafka.batch_layout import COUNT_AT, RECORDS_FROM
from app.kafka.patches.packed_records import (
    OF_A_HEADER,
    OF_A_RECORD,
    Cut,
    CutLimits,
    Part,
    TooManyHeaders,
    check_lengths,
    decompressed,
    with_readable_names,
    without_compression,
)
from app.kafka.patches.unpacked_size import SLACK, most_bytes
from app.kafka.records import in_order
from app.kafka.unreadable import Unreadable
from app.kafka.untimed import Untimed

MIB = 1024 * 1024

CHUNK_BYTES = 4 * MIB
"""Bytes of values in a chunk, give or take a batch of at most `_LARGE` bytes or a record. Larger
chunks would cost less per record, but there may be one in memory per partition, several times its
fetched size, because batches are compressed.
"""

LARGEST = 16 * MIB
"""The most bytes of unpacked records that a batch may have: the default of
`PERSISTER_MAX_RECORD_BYTES`.
"""

COUNTED = 2
"""The first batch format whose header has the number of records."""

_MOST_FOR_RECORDS = 2
"""How many times the size limit of a batch its records may take in memory."""

_MOST_HEADERS, _OF_EACH_RECORD = 10_000, 10
"""How many headers a batch may have, plus some for each record; one or two per record are usual.
One record may have as many as a batch of one.
"""

_LARGE = MIB
"""Size in bytes from which on a batch is looked at before it is unpacked; a smaller one can do no
harm.
"""

_TOGETHER = 10_000
"""How many records of one batch are handed over at a time: even an empty record costs memory once
it is processed.
"""

_count = Struct(">i").unpack_from


class WrongOffsets(Exception):  # noqa: N818 - what is the case
    """Records claim offsets that are not in order, or that their batch does not have."""

    def __init__(self) -> None:
        super().__init__("they claim offsets that are not in order, or not the batch's")


def weight(records: Sequence[Any]) -> int:
    """Bytes of the records' contents, or of the objects around them if that is more.

    Keys and headers count like values, and a million empty records have a weight, too.
    """
    size = sum([len(record.value or b"") + len(record.key or b"") for record in records])
    without = len(records) * OF_A_RECORD
    for headers in [record.headers for record in records if record.headers]:
        size += sum(len(name) + len(value or b"") for name, value in headers)
        without += len(headers) * OF_A_HEADER
    return max(size, without)


class Room:
    """Room for the decompressed records of one batch, whatever the number of partitions.

    They stay as long as no other batch needs the room, so a batch is decompressed again only if
    another has been in between.
    """

    def __init__(self) -> None:
        self._owner: ReferenceType[LargeBatch] | None = None
        self._records: bytes | memoryview = b""

    @property
    def taken(self) -> int:
        """The bytes that are kept."""
        return len(self._records)

    def records(self, batch: "LargeBatch") -> bytes | memoryview:
        """The batch's records, decompressed if they aren't here; raises what the decoder raises."""
        if self._owner is None or self._owner() is not batch:
            self.clear()
            self._records = decompressed(batch.encoded)
            self._owner = ref(batch, self.clear)
        return self._records

    def clear(self, owner: "ReferenceType[LargeBatch] | None" = None) -> None:
        """Drop what is kept; if an owner is given, only what is kept for that one."""
        if owner is None or owner is self._owner:
            self._owner, self._records = None, b""


class LargeBatch:
    """The records of a batch that are too many, or too large, to be unpacked at once.

    Iterating yields them, too.

    Args:
        batch: aiokafka's, for what its header has.
        encoded: the batch as it stands in Kafka.
        count: the number of its records.
        room: where its decompressed records may stay.

    Raises:
        TooManyHeaders: the records of the first part have too many headers.
        Exception: whatever the bytes make the decoder raise, or ValueError.
    """

    def __init__(self, batch: Any, encoded: memoryview, count: int, room: Room) -> None:
        self.encoded = encoded
        self._batch = batch
        self._room = room
        most = _OF_EACH_RECORD * count + _MOST_HEADERS
        limits = CutLimits(_TOGETHER, CHUNK_BYTES, most, _OF_EACH_RECORD + _MOST_HEADERS)
        self._cut = Cut(count, limits)
        self._next: Part | None = self._cut.part(room.records(self))
        self._from = batch.base_offset
        """The first offset that has not been taken."""

    @property
    def divided(self) -> bool:
        """Whether more is left than one part."""
        return self._cut.left > 0

    @property
    def left(self) -> bool:
        """Whether anything is left."""
        return self._next is not None or self.divided

    def take(self) -> list[Any]:
        """The next part; for the rest of a batch that turns out to be broken, one `Unreadable`."""
        try:
            part = self._next or self._cut.part(self._room.records(self))
            records = self._unpacked(part)
            # Each record of the rest needs an offset of its own, and so does what stands for it.
            _check_offsets(records, self._from, self._batch.next_offset - self._cut.left)
            self._from = records[-1].offset + 1
        except Exception as error:  # noqa: BLE001 - whatever the bytes make aiokafka raise
            records = [_unreadable(self._batch, self.encoded, _why(error), self._from)]
            self._cut.left = 0
        self._next = None
        if not self.left:
            self._room.clear()
        return records

    def _unpacked(self, part: Part) -> list[Any]:
        records = self._room.records(self)[part.start : part.end]
        try:
            return _made(self.encoded, records, part.records)
        except UnicodeDecodeError:
            readable = with_readable_names(records, part.records)
            return _made(self.encoded, readable, part.records)

    def __iter__(self) -> Iterator[Any]:
        while self.left:
            yield from self.take()


def unpack(
    batch: Any,
    encoded: memoryview,
    largest: int,
    most: int | None = None,
    *,
    room: Room | None = None,
) -> list[Any] | LargeBatch:
    """The records of a batch, or one `Unreadable` in place of a batch that is too large or broken.

    A batch has the records of only one producer, so nobody else's are lost with it.

    Args:
        batch: aiokafka's batch, not unpacked yet.
        encoded: as it stands in Kafka.
        largest: the most bytes of unpacked records that it may have, give or take `SLACK`.
        most: the most records that it may have.
        room: where the decompressed records of a large batch may stay.
    """
    limit = largest + SLACK
    # Batches of older formats lack this property.
    codec = getattr(batch, "compression_type", 0)
    size = most_bytes(codec, encoded[RECORDS_FROM:], limit)
    if codec and size > limit:
        return [_unreadable(batch, encoded, f"they unpack to more than {limit} bytes")]
    counted = getattr(batch, "magic", 0) >= COUNTED
    (count,) = _count(encoded, COUNT_AT) if counted else (0,)
    if count * OF_A_RECORD > _MOST_FOR_RECORDS * limit or (most and count > most):
        return [_unreadable(batch, encoded, f"there are {count} of them")]
    try:
        if counted and (size > _LARGE or count > _TOGETHER):
            large = LargeBatch(batch, encoded, count, room or Room())
            return large if large.divided else [*large]
        records = _small(batch, encoded, count, size)
        _check_offsets(records, getattr(batch, "base_offset", 0), batch.next_offset)
    except Exception as error:  # noqa: BLE001 - whatever the bytes make aiokafka raise
        return [_unreadable(batch, encoded, _why(error))]
    return records


def _check_offsets(records: list[Any], first: int, end: int) -> None:
    """Check what records claim; compaction may have left gaps between them.

    Args:
        records: of one batch.
        first: the least offset that they may have.
        end: the offset that is greater than any of theirs.

    Raises:
        WrongOffsets: they are not in order, or not in between.
    """
    if records and not (
        first <= records[0].offset and records[-1].offset < end and in_order(records)
    ):
        raise WrongOffsets


def _small(batch: Any, encoded: memoryview, count: int, size: int) -> list[Any]:
    """The records of a batch of `size` uncompressed bytes.

    Raises:
        TooManyHeaders: they have too many headers.
        Exception: whatever the bytes make aiokafka raise.
    """
    try:
        records = list(batch)
    except UnicodeDecodeError:
        readable = with_readable_names(decompressed(encoded), count)
        records = _made(encoded, readable, count)
    except MemoryError:
        if count:  # older formats tell of none, and are laid out otherwise
            check_lengths(decompressed(encoded), count)
        raise
    if size > 2 * _MOST_HEADERS and count:
        headers = [len(record.headers) for record in records]
        if sum(headers) > _MOST_HEADERS + _OF_EACH_RECORD * count:
            raise TooManyHeaders(_MOST_HEADERS + _OF_EACH_RECORD * count)
        if max(headers) > _MOST_HEADERS + _OF_EACH_RECORD:
            raise TooManyHeaders(_MOST_HEADERS + _OF_EACH_RECORD)
    if records and records[0].timestamp is None:
        return [Untimed(record.offset, record.key, record.value) for record in records]
    return records


def _made(encoded: memoryview, records: bytes | memoryview, count: int) -> list[Any]:
    """Unpack so many decompressed records of a batch.

    Raises:
        ValueError: a length is so large that aiokafka, which overflows there, takes it for one that
            fits, and asks for as much memory.
        Exception: whatever else the bytes make aiokafka raise.
    """
    try:
        return list(DefaultRecordBatch(without_compression(encoded, records, count)))
    except MemoryError:
        check_lengths(records, count)
        raise


def _why(error: Exception) -> str:
    if isinstance(error, MemoryError):
        raise error  # the batch is not to blame
    if isinstance(error, TooManyHeaders | WrongOffsets):
        return str(error)
    return f"they can't be unpacked ({type(error).__name__})"


def _unreadable(batch: Any, encoded: memoryview, why: str, first: int | None = None) -> Unreadable:
    """What stands for the records of a batch, from the offset `first` on if that is given."""
    last = batch.next_offset - 1
    first = getattr(batch, "base_offset", last) if first is None else first
    hash_ = hashlib.sha256(encoded).hexdigest()
    return Unreadable(
        offset=last,
        timestamp=max(0, getattr(batch, "max_timestamp", 0) or 0),
        timestamp_type=getattr(batch, "timestamp_type", 0),
        encoded=bytes(encoded),
        why=f"the records of the batch from offset {first} to {last}: {why}; as it stands in "
        f"Kafka, it has {len(encoded)} bytes with the SHA-256 {hash_}",
    )
