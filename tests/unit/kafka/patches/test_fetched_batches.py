"""Records of chunks, unpacked without aiokafka's detour: the same ones, from the same offset on."""

import gc
import hashlib
import struct
import tracemalloc
import weakref
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchError, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from faust.types import TP

from app.kafka.delivery import Chunk
from app.kafka.patches import fetched_batches, packed_records, unpacking
from app.kafka.patches.fetched_batches import Batches, Entries, Fetch, Fetched, Unpacked
from app.kafka.patches.new_leaders import NewLeaders, Read
from app.kafka.unreadable import Unreadable
from app.kafka.untimed import NO_TIMESTAMP

ENOUGH = 1 << 20
"""Bytes: more than there are."""

CHUNKED, PLAIN = TP("chunked", 0), TP("plain", 0)
HEADERS = [("trace", b"\x01"), ("none", None)]

# Where the fields of a batch stand: Kafka's protocol guide, "Record Batch".
BASE_OFFSET, LENGTH, EPOCH, CRC, ATTRIBUTES, LAST_OFFSET_DELTA, SUMMED = 0, 8, 12, 17, 21, 23, 21
CONTROL = 0x20


def batch(
    first: int,
    count: int,
    *,
    attributes: int = 0,
    removed: int = 0,
    key: bytes | None = b"key",
    epoch: int = -1,
) -> bytearray:
    """An encoded batch; so many records at its end were removed by compaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for number in range(count):
        builder.append(number, 1000 + number, key, b"value %d" % (first + number), HEADERS)
    encoded = bytearray(builder.build())
    struct.pack_into(">q", encoded, BASE_OFFSET, first)
    struct.pack_into(">i", encoded, EPOCH, epoch)
    struct.pack_into(">h", encoded, ATTRIBUTES, attributes)
    struct.pack_into(">i", encoded, LAST_OFFSET_DELTA, count + removed - 1)
    struct.pack_into(">I", encoded, CRC, calc_crc32c(bytes(encoded[SUMMED:])))
    return encoded


def fetched(fetch_offset: int, *batches: bytearray) -> PartitionRecords:
    records = Batches(b"".join(batches))
    return PartitionRecords(CHUNKED, records, None, fetch_offset, None, None, True, 0)


def offsets(unpacked: Unpacked) -> list[int]:
    return [record.offset for record in unpacked.take(ENOUGH)]


@pytest.fixture(params=[True, False], ids=["fast", "aiokafka's"])
def _sums(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched_batches, "_SUMS_FAST", request.param)


def test_the_records_are_those_that_aiokafka_makes_of_a_fetch() -> None:
    sent = (batch(5, 3), batch(8, 2))

    def seen(record: Any) -> tuple[Any, ...]:
        return (
            record.offset,
            record.timestamp,
            record.timestamp_type,
            record.key,
            record.value,
            tuple(record.headers),
        )

    ours = [seen(record) for record in Unpacked(fetched(5, *sent)).take(ENOUGH)]

    assert ours == [seen(record) for record in fetched(5, *sent)]
    assert [record[0] for record in ours] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("codec", [0, LegacyRecordBatchBuilder.CODEC_GZIP])
def test_records_of_the_format_that_had_no_times_are_delivered(codec: int) -> None:
    builder = LegacyRecordBatchBuilder(0, codec, 1 << 20)
    for number in range(2):
        builder.append(number, timestamp=None, key=b"key", value=b"value %d" % number)
    encoded = bytearray(builder.build())
    if codec:  # the wrapper has the offset of the last record in it
        struct.pack_into(">q", encoded, BASE_OFFSET, 1)

    unpacked = Unpacked(fetched(0, encoded))
    records = unpacked.take(ENOUGH)

    assert [(one.offset, one.key, one.value) for one in records] == [
        (0, b"key", b"value 0"),
        (1, b"key", b"value 1"),
    ]
    assert unpacked.next_fetch_offset == 2
    chunk = Chunk(CHUNKED, records)
    assert (chunk.timestamp, records[0].timestamp_type) == (NO_TIMESTAMP, 0)
    assert [*records[0].headers] == []


@pytest.mark.usefixtures("_sums")
def test_batches_that_are_intact_are_taken_for_intact() -> None:
    assert offsets(Unpacked(fetched(0, *(batch(first, 10) for first in range(0, 100, 10))))) == [
        *range(100)
    ]


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch() -> None:
    unpacked = Unpacked(fetched(5, batch(5, 2), batch(7, 2)[:-3]))

    assert offsets(unpacked) == [5, 6]
    assert unpacked.next_fetch_offset == 7


def test_what_a_batch_holds_before_the_offset_that_was_asked_for_is_left_out() -> None:
    assert offsets(Unpacked(fetched(7, batch(5, 3), batch(8, 2)))) == [7, 8, 9]


def test_the_next_fetch_begins_after_what_compaction_left_of_the_last_batch() -> None:
    unpacked = Unpacked(fetched(5, batch(5, 2, removed=4)))

    assert offsets(unpacked) == [5, 6]
    assert unpacked.next_fetch_offset == 11


def test_markers_of_transactions_are_no_records() -> None:
    marker = batch(7, 1, attributes=CONTROL, key=b"\x00\x00\x00\x01")
    unpacked = Unpacked(fetched(5, batch(5, 2), marker, batch(8, 1)))

    assert offsets(unpacked) == [5, 6, 8]
    assert unpacked.next_fetch_offset == 9


@pytest.mark.usefixtures("_sums")
@pytest.mark.parametrize("at", [ATTRIBUTES, 70, -1])
def test_a_damaged_batch_is_an_error_after_what_stands_before_it(at: int) -> None:
    damaged = batch(7, 2)
    damaged[at] ^= 1
    unpacked = Unpacked(fetched(5, batch(5, 2), damaged, batch(9, 1)))

    assert offsets(unpacked) == [5, 6]
    assert unpacked.ended
    assert unpacked.next_fetch_offset == 7
    with pytest.raises(CorruptRecordException, match="chunked"):
        offsets(Unpacked(fetched(7, damaged, batch(9, 1))))


class Position:
    """A partition's state in aiokafka's subscription."""

    paused = False

    def __init__(self, position: int) -> None:
        self.position = position

    def consumed_to(self, position: int) -> None:
        self.position = position


class Assignment:
    active = True

    def __init__(self, position: int) -> None:
        self.position = Position(position)

    def state_value(self, _tp: TP) -> Position:
        return self.position


class Fresh:
    """An assignment of partitions that each stand at their start."""

    active = True

    def __init__(self) -> None:
        self.state_value = defaultdict[TP, Position](lambda: Position(0)).__getitem__


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "changelog"])
@pytest.mark.parametrize("at", [LENGTH, CRC])
def test_a_damaged_batch_is_fetched_again_after_a_while_and_said_once(
    at: int,
    chunked: bool,  # noqa: FBT001 - of the table above
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged = batch(5, 3)
    damaged[at : at + 4] = bytes(4)
    kept = Fetched(lambda _tp: chunked)
    kept.assignment = assignment = Assignment(5)
    for _ in range(2):
        sent = fetched(5, damaged)
        kept[CHUNKED] = Fetch(CHUNKED, assignment=assignment, partition_records=sent, backoff=0)
        assert kept[CHUNKED].getall() == []
        assert not kept[CHUNKED].has_more()
    assert assignment.position.position == 5
    assert kept.gathering.seconds_left({CHUNKED, PLAIN}).keys() == {CHUNKED}
    (line,) = caplog.messages
    assert "The records of chunked/0 from offset 5 on come damaged" in line


def test_a_changelog_is_read_as_aiokafka_s_records_and_the_position_moves_on() -> None:
    kept = Fetched(lambda tp: tp == CHUNKED)
    kept.assignment = assignment = Assignment(5)
    for tp in (CHUNKED, PLAIN):
        kept[tp] = Fetch(
            tp, assignment=assignment, partition_records=fetched(5, batch(5, 3)), backoff=0
        )

    records = kept[CHUNKED].getall()

    assert not hasattr(records[0], "topic")
    assert [record.offset for record in records] == [5, 6, 7]
    assert assignment.position.position == 8
    assignment.position.position = 5
    assert kept[PLAIN].getall() == [*fetched(5, batch(5, 3))]
    assert assignment.position.position == 8


@pytest.mark.parametrize(
    "last",
    [
        batch(7, 1, attributes=CONTROL, key=b"\x00\x00\x00\x01"),
        batch(7, 0, removed=1),
    ],
    ids=["marker", "compacted"],
)
def test_a_changelog_is_read_to_its_end_whatever_stands_there(last: bytearray) -> None:
    """Faust waited for a record at the last offset, for ever: so did each worker that started."""
    entries = Entries(fetched(5, batch(5, 2), last))
    *before, nothing = entries.take(ENOUGH)

    assert [one.offset for one in before] == [5, 6]
    assert (nothing.offset, nothing.key, nothing.value) == (7, None, None)
    assert entries.next_fetch_offset == 8


def test_what_is_not_unpacked_of_a_changelog_is_no_entry_that_is_gone() -> None:
    builder = DefaultRecordBatchBuilder(2, 4, 0, -1, -1, -1, 1 << 25)
    builder.append(0, 1000, b'"0/5"', bytes(16 << 20), [])
    (entry,) = Entries(fetched(0, builder.build()), 1 << 20).take(1)

    assert (entry.offset, entry.key, entry.value) == (0, None, b"")


def test_a_chunk_is_of_whole_batches_and_the_rest_is_kept_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    four = Unpacked(fetched(0, batch(0, 4))).take(1)
    monkeypatch.setattr(fetched_batches, "CHUNK_BYTES", unpacking.weight(four))
    kept = Fetched(lambda _tp: True)
    kept.assignment = assignment = Assignment(0)
    sent = fetched(0, batch(0, 3), batch(3, 3), batch(6, 3))
    kept[CHUNKED] = Fetch(CHUNKED, assignment=assignment, partition_records=sent, backoff=0)

    taken = []
    while kept[CHUNKED].has_more():
        taken.append([record.offset for record in kept[CHUNKED].getall()])
        assert assignment.position.position == taken[-1][-1] + 1

    assert taken == [[0, 1, 2, 3, 4, 5], [6, 7, 8]]


def test_what_was_fetched_before_a_seek_is_dropped() -> None:
    kept = Fetched(lambda _tp: True)
    kept.assignment = moved = Assignment(7)
    sent = fetched(5, batch(5, 3))
    kept[CHUNKED] = Fetch(CHUNKED, assignment=moved, partition_records=sent, backoff=0)

    assert kept[CHUNKED].getall() == []
    assert not kept[CHUNKED].has_more()
    assert moved.position.position == 7


def test_an_error_of_a_fetch_is_kept_as_it_is() -> None:
    kept = Fetched(lambda _tp: True)
    error = FetchError(error=ValueError(), backoff=0)

    kept[CHUNKED] = error

    assert kept[CHUNKED] is error


def test_the_broker_s_answer_is_let_go_once_it_is_unpacked() -> None:
    gc.disable()  # what only the collector finds stays for long: the worker calls it seldom
    try:
        original = fetched(5, batch(5, 3))
        gone = weakref.ref(original)
        records = Unpacked(original).take(ENOUGH)
        del original
        assert gone() is None
    finally:
        gc.enable()
    assert len(records) == 3


def signed(encoded: bytearray) -> bytearray:
    struct.pack_into(">I", encoded, CRC, calc_crc32c(bytes(encoded[SUMMED:])))
    return encoded


def test_records_without_an_end_cost_their_own_batch() -> None:
    odd = batch(7, 2)
    odd[odd.index(b"trace") - 1] = 0x7F  # the length of the name
    encoded = bytes(signed(odd))
    unpacked = Unpacked(fetched(5, batch(5, 2), odd, batch(9, 1)))

    first, second, unreadable, last = unpacked.take(ENOUGH)

    assert [first.offset, second.offset, last.offset] == [5, 6, 9]
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.offset, unreadable.value, unreadable.encoded) == (8, None, encoded)
    assert "from offset 7 to 8" in unreadable.why
    assert hashlib.sha256(encoded).hexdigest() in unreadable.why


def claiming(first: int, *claimed: int, last: int | None = None, codec: int = 0) -> bytearray:
    """A batch whose records claim these offsets, counted from the batch's; one each by default."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for offset in claimed:
        builder.append(offset, 1000, None, b"x", [])
    encoded = bytearray(builder.build())
    struct.pack_into(">q", encoded, BASE_OFFSET, first)
    last = len(claimed) - 1 if last is None else last
    struct.pack_into(">i", encoded, LAST_OFFSET_DELTA, last)
    return signed(encoded)


WRONG = {
    "beyond the batch": (30,),
    "by one": (0, 2),
    "before the batch": (-1, 0),
    "far before it": (0, -1_000_000),
    "the same": (0, 0),
    "backwards": (2, 1, 0),
    "before it, as a number wraps": (0, -(1 << 62)),
}


@pytest.mark.parametrize("reading", [Unpacked, Entries])
@pytest.mark.parametrize("codec", [0, 4])
@pytest.mark.parametrize("claimed", WRONG.values(), ids=WRONG)
def test_a_batch_whose_records_claim_impossible_offsets_costs_nobody_else_s(
    claimed: tuple[int, ...], codec: int, reading: type[Unpacked]
) -> None:
    """Kafka checks only what the header of an uncompressed batch says."""
    after = 7 + len(claimed)
    odd = claiming(7, *claimed, codec=codec)
    unpacked = reading(fetched(5, batch(5, 2), odd, batch(after, 2)))

    found = unpacked.take(ENOUGH)

    assert [one.offset for one in found] == [5, 6, after - 1, after, after + 1]
    assert [bool(one.value) for one in found] == [True, True, False, True, True]
    assert unpacked.next_fetch_offset == after + 2


def test_why_a_batch_is_not_believed_is_said_with_its_place() -> None:
    (unreadable,) = Unpacked(fetched(7, claiming(7, 0, 30))).take(ENOUGH)

    assert "from offset 7 to 8: they claim offsets that are not in order" in unreadable.why


def test_the_position_is_the_header_s_whatever_was_removed_within_a_batch() -> None:
    unpacked = Unpacked(fetched(5, claiming(5, 1, 4, 5, last=9)))

    assert offsets(unpacked) == [6, 9, 10]
    assert unpacked.next_fetch_offset == 15


@pytest.mark.parametrize("last", [-1, -7, -(1 << 31)])
def test_the_position_does_not_move_back_whatever_a_header_says(last: int) -> None:
    unpacked = Unpacked(fetched(5, claiming(5, 0, last=last), batch(6, 1)))

    assert offsets(unpacked) == [6]
    assert unpacked.next_fetch_offset == 7


@pytest.mark.parametrize("inner", [(7, 3), (0, 0, 1), (1, 0)])
def test_what_a_message_set_of_an_old_format_claims_is_no_more_believed(
    inner: tuple[int, ...],
) -> None:
    builder = LegacyRecordBatchBuilder(1, LegacyRecordBatchBuilder.CODEC_GZIP, 1 << 20)
    for offset in inner:
        builder.append(offset, timestamp=1000, key=None, value=b"x")
    encoded = bytearray(builder.build())
    struct.pack_into(">q", encoded, BASE_OFFSET, len(inner) - 1)

    unpacked = Unpacked(fetched(0, encoded))
    (unreadable,) = unpacked.take(ENOUGH)

    assert isinstance(unreadable, Unreadable)
    assert unreadable.offset == len(inner) - 1
    assert unpacked.next_fetch_offset == len(inner)


def test_what_stands_for_a_batch_has_all_that_a_record_has() -> None:
    (record,) = Unpacked(fetched(5, batch(5, 1))).take(ENOUGH)
    (unreadable,) = Unpacked(fetched(5, batch(5, 1, attributes=1))).take(ENOUGH)

    of_a_record = {name for name in dir(record) if not name.startswith("_")} - {"checksum"}
    assert of_a_record <= set(dir(unreadable))


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_a_batch_that_would_unpack_to_too_much_is_not_unpacked(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    builder.append(0, 1000, b"key", bytes(64 * 1024 * 1024), [])
    bomb = bytearray(builder.build())
    struct.pack_into(">q", bomb, BASE_OFFSET, 5)
    tracemalloc.start()

    (unreadable,) = Unpacked(fetched(5, bomb)).take(ENOUGH)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(unreadable, Unreadable)
    assert "unpack to more than" in unreadable.why
    assert peak < 16 * 1024 * 1024
    assert Unpacked(fetched(5, bomb), 64 * 1024 * 1024).take(ENOUGH)[0].offset == 5


@pytest.mark.parametrize("codec", [1, 2, 3, 4, 5, 7])
def test_records_that_are_not_packed_as_they_say_are_no_error(codec: int) -> None:
    (unreadable,) = Unpacked(fetched(5, batch(5, 2, attributes=codec))).take(ENOUGH)

    assert isinstance(unreadable, Unreadable)
    assert unreadable.offset == 6


@pytest.mark.parametrize("count", [2, 2000])
def test_no_batch_is_to_blame_for_a_lack_of_memory(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def without_memory(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(unpacking, "_small", without_memory)
    monkeypatch.setattr(unpacking, "decompressed", without_memory)
    unpacked = Unpacked(fetched(5, batch(5, count)))

    with pytest.raises(MemoryError):
        unpacked.take(ENOUGH)


@pytest.mark.parametrize("count", [2, 12_000], ids=["small", "large"])
@pytest.mark.parametrize("field", [b"key", b"value 6", b"trace", b"\x01"])
def test_a_length_that_overflows_is_no_lack_of_memory(field: bytes, count: int) -> None:
    """aiokafka takes one of almost 2**63 for one that fits, and asks for as much memory."""
    encoded = batch(5, count)
    at = encoded.index(bytes([2 * len(field)]) + field, encoded.index(b"value 5"))
    encoded[at : at + 10] = b"\xa0" + b"\xff" * 8 + b"\x01"
    struct.pack_into(">I", encoded, CRC, calc_crc32c(bytes(encoded[SUMMED:])))

    (unreadable,) = Unpacked(fetched(5, encoded)).take(ENOUGH)

    assert isinstance(unreadable, Unreadable)
    assert unreadable.offset == 5 + count - 1


def kept(shelf: Fetched, tp: TP, *batches: bytearray) -> Any:
    """A fetch's result of a partition that stands at its start."""
    if shelf.assignment is None:
        shelf.assignment = Fresh()
    records = fetched(0, *batches)
    shelf[tp] = Fetch(tp, assignment=shelf.assignment, partition_records=records, backoff=0)
    return shelf[tp]


def tiny(records: int, headers: int, codec: int = 4) -> bytearray:
    """A batch of records without anything in them but so many headers of an empty name."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for number in range(records):
        builder.append(number, 1000, None, b"x", [("", None)] * headers)
    return bytearray(builder.build())


def test_one_hand_over_is_bounded_whatever_the_number_of_partitions() -> None:
    size = len(b"value 0") * 2
    shelf = Fetched(lambda _tp: True, at_once=size)
    results = [kept(shelf, TP("chunked", number), batch(0, 2)) for number in range(3)]
    shelf.hand_over(shelf, now=1.0)
    assert [len(result.getall()) for result in results] == [2, 0, 0]
    # What was not handed over waits for the next time.
    assert [result.has_more() for result in results] == [False, True, True]
    shelf.hand_over(shelf, now=2.0)
    assert [len(result.getall()) for result in results[1:]] == [2, 0]


def test_each_partition_gets_its_turn_however_much_waits_of_the_others() -> None:
    """Those that came later got nothing until all of the first had been taken."""
    shelf = Fetched(lambda _tp: True, at_once=1)
    for number in range(3):
        kept(shelf, TP("chunked", number), tiny(25_000, 0))
    turns = []
    for _ in range(6):
        shelf.hand_over(shelf, now=1.0)
        turns += [tp.partition for tp in list(shelf) if shelf[tp].getall()]  # as aiokafka does it
    assert turns == [0, 1, 2, 0, 1, 2]


def test_what_waits_is_counted_as_it_stands_in_kafka() -> None:
    shelf = Fetched(lambda tp: tp == CHUNKED)
    sent = batch(0, 2)
    kept(shelf, CHUNKED, sent)
    kept(shelf, PLAIN, sent, batch(2, 2))
    assert shelf.waiting() == 3 * len(sent)


def test_only_what_nobody_asks_for_is_set_aside() -> None:
    asked, unasked = TP("chunked", 0), TP("chunked", 1)
    shelf = Fetched(lambda tp: tp.topic == "chunked")
    for tp in (asked, unasked, PLAIN):
        kept(shelf, tp, batch(0, 2))
    shelf.hand_over([asked, unasked, PLAIN], now=10.0)
    shelf.hand_over([asked], now=10.0 + fetched_batches.UNWANTED + 0.1)
    shelf.set_aside()
    assert shelf.keys() == {asked}, "nor a table's changelog: it is read after an assignment only"


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_a_batch_of_very_many_headers_is_set_aside(codec: int) -> None:
    """A valid batch of a kilobyte and a half, with eight million of them, took 628 MB."""
    sent = []
    for headers in (10_010, 10_011, 600_000):
        builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
        builder.append(0, 1000, None, b"{}", [("", None)] * headers)
        sent.append(builder.build())
        struct.pack_into(">q", sent[-1], BASE_OFFSET, len(sent) - 1)
    unpacked = Unpacked(fetched(0, *sent))
    (fine,) = unpacked.take(1)
    assert len(fine.headers) == 10_010
    for _ in range(2):
        (unreadable,) = unpacked.take(1)
        assert isinstance(unreadable, Unreadable)
        assert "more than 10010 headers" in unreadable.why


def test_records_and_headers_without_anything_in_them_are_not_nothing() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for number in range(100):
        builder.append(number, 1000, None, None, [("", None)] * 10 if number % 2 else [])
    kept = Unpacked(fetched(0, builder.build(), builder.build()))
    kept.take(100 * 200)
    assert kept.taken == 100 * 200 + 500 * 100
    assert not kept.ended


def test_a_batch_of_very_many_records_is_handed_over_in_parts() -> None:
    """330 KB of 400,000 empty ones took a gigabyte: a dead letter each, all of them at once."""
    builder = DefaultRecordBatchBuilder(2, 4, 0, -1, -1, -1, 1 << 20)
    for number in range(25_000):
        builder.append(number, 1000, None, None, [])
    many = builder.build()
    fetch = Unpacked(fetched(5, many, batch(25_000, 2)))
    parts = []
    while not fetch.ended:
        parts.append([record.offset for record in fetch.take(1)])
        assert fetch.next_fetch_offset == parts[-1][-1] + 1
    assert [len(part) for part in parts] == [9995, 10_000, 5000, 2]
    assert [offset for part in parts for offset in part] == list(range(5, 25_002))


def test_no_more_of_a_batch_is_looked_at_than_is_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    heads = packed_records._heads

    def counted(*given: Any) -> Iterator[Any]:
        looked.append(0)
        for head in heads(*given):
            looked[-1] += 1
            yield head

    monkeypatch.setattr(packed_records, "_heads", counted)
    fetch = Unpacked(fetched(0, tiny(25_000, 0)))
    while not fetch.ended:
        fetch.take(1)
    assert looked == [10_001, 10_001, 5000]


def test_what_comes_before_the_broken_rest_of_a_batch_is_read() -> None:
    sent = bytearray(tiny(25_000, 0, codec=0))
    sent[-20_000:] = bytes(20_000)
    fetch = Unpacked(fetched(0, signed(sent)))
    parts = []
    while not fetch.ended:
        parts.append(fetch.take(1))
    assert [len(part) for part in parts] == [10_000, 10_000, 1]
    [rest] = parts[-1]
    assert isinstance(rest, Unreadable)
    assert "from offset 20000 to 24999" in rest.why


class Counted:
    """Counts how often something is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls = 0
        self._call = getattr(unpacking, name)
        monkeypatch.setattr(unpacking, name, self)

    def __call__(self, *given: Any) -> Any:
        self.calls += 1
        return self._call(*given)


def test_large_batches_take_the_memory_of_one_whatever_the_number_of_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six of them, 190 KB each, took 1.5 GB, and were fetched and unpacked again and again."""
    looks = Counted(monkeypatch, "Cut")
    sent = tiny(12_000, 10)
    shelf = Fetched(lambda _tp: True, at_once=1)
    results = [kept(shelf, TP("chunked", number), sent, batch(12_000, 2)) for number in range(4)]
    positions = [0] * len(results)
    tracemalloc.start()
    while any(result.has_more() for result in results):
        for number, result in enumerate(results):
            shelf.hand_over(shelf, now=1.0)
            if result.has_more():
                taken = [record.offset for record in result.getall()]
                assert taken[0] == positions[number]
                positions[number] = taken[-1] + 1
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert positions == [12_002] * len(results)
    assert looks.calls == len(results)
    # 4 MiB of records with their headers, and the bytes of one batch. All of one take 13 MB.
    assert most < 10 * unpacking.MIB


def test_a_large_batch_is_decompressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decompressed = Counted(monkeypatch, "decompressed")
    room = unpacking.Room()
    unpacked = Unpacked(fetched(0, tiny(25_000, 0)), room=room)
    unpacked.take(1)
    assert room.taken > 25_000 * 8
    while not unpacked.ended:
        unpacked.take(1)
    assert (decompressed.calls, room.taken) == (1, 0)


def test_what_is_dropped_leaves_the_room_to_others() -> None:
    room = unpacking.Room()
    dropped = Unpacked(fetched(0, tiny(25_000, 0)), room=room)
    dropped.take(1)
    other = Unpacked(fetched(0, tiny(11_000, 0)), room=room)
    other.take(1)
    del dropped
    assert 0 < room.taken < 12_000 * 10
    del other
    assert room.taken == 0


def test_what_has_been_begun_is_dropped_last() -> None:
    begun, fresh = TP("chunked", 0), TP("chunked", 1)
    shelf = Fetched(lambda _tp: True)
    result = kept(shelf, begun, tiny(25_000, 0))
    kept(shelf, fresh, tiny(25_000, 0))
    shelf.hand_over([begun, fresh], now=10.0)
    result.getall()
    shelf.hand_over([], now=10.0 + fetched_batches.UNWANTED + 0.1)
    shelf.set_aside()
    assert shelf.keys() == {begun}
    shelf.set_aside()
    assert not shelf


def test_a_large_batch_is_read_on_from_the_middle() -> None:
    unpacked = Unpacked(fetched(12_345, tiny(25_000, 0), batch(25_000, 2)))
    found = []
    while not unpacked.ended:
        found += unpacked.take(1)
        assert unpacked.next_fetch_offset == found[-1].offset + 1
    assert [record.offset for record in found] == [*range(12_345, 25_002)]


def test_of_a_large_batch_that_is_broken_later_on_the_rest_is_set_aside() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for number in range(25_000):
        builder.append(number, 1000, None, b"x", [("", b"last")] if number == 20_000 else [])
    broken = builder.build()
    broken[broken.index(b"last") - 1] += 2  # the length of the header's value
    struct.pack_into(">q", broken, BASE_OFFSET, 5)
    unpacked = Unpacked(fetched(5, signed(broken), batch(25_005, 1)))
    found = [record for _ in range(3) for record in unpacked.take(1)]
    assert [record.offset for record in found] == [*range(5, 20_005), 25_004]
    assert isinstance(found[-1], Unreadable)
    assert "from offset 20005 to 25004" in found[-1].why
    assert offsets(unpacked) == [25_005]


@pytest.mark.parametrize(
    "at, claimed, believed",
    [
        (3, 24_999, 0),
        (3, 2, 0),
        (9_999, 24_999, 0),
        (9_999, 10_000, 0),
        (10_000, 9_999, 10_000),
        (24_999, 25_000, 20_000),
        (24_999, -5, 20_000),
    ],
)
def test_of_a_large_batch_the_parts_before_a_wrong_offset_are_believed(
    at: int, claimed: int, believed: int
) -> None:
    """Where a part claims the last offset, nothing could stand for the rest of the batch."""
    numbers = [*range(at), claimed, *range(at + 1, 25_000)]
    unpacked = Unpacked(fetched(5, claiming(5, *numbers), batch(25_005, 1)))
    found: list[Any] = []
    while not unpacked.ended:
        found += unpacked.take(1)
        assert unpacked.next_fetch_offset == found[-1].offset + 1
    *before, unreadable, after = found
    assert [record.offset for record in before] == [*range(5, 5 + believed)]
    assert isinstance(unreadable, Unreadable)
    assert f"from offset {5 + believed} to 25004" in unreadable.why
    assert (unreadable.offset, after.offset) == (25_004, 25_005)


def test_a_changelog_with_large_batches_is_read_to_its_end() -> None:
    entries = Entries(fetched(12_345, tiny(25_000, 0)))
    found = []
    while not entries.ended:
        found += [record.offset for record in entries.take(1)]
    assert found == [*range(12_345, 25_000)]


def test_more_records_than_there_is_memory_for_are_not_made() -> None:
    builder = DefaultRecordBatchBuilder(2, 4, 0, -1, -1, -1, 1 << 30)
    for number in range(210_000):
        builder.append(number, 1000, None, None, [])
    (unreadable,) = Unpacked(fetched(0, builder.build())).take(ENOUGH)
    assert isinstance(unreadable, Unreadable)
    assert "there are 210000 of them" in unreadable.why


@pytest.mark.parametrize("epoch", [5, 1])
def test_what_a_new_leader_wrote_waits_until_it_is_known_what_that_has(epoch: int) -> None:
    asked: list[tuple[TP, Read, int]] = []
    leaders = NewLeaders(lambda *one: asked.append(one))
    shelf = Fetched(lambda tp: tp == CHUNKED, leaders=leaders)
    batches = [batch(0, 2, epoch=3), batch(2, 2, epoch=3), batch(4, 2, epoch=epoch)]
    result = kept(shelf, CHUNKED, *batches)
    state = shelf.assignment.state_value(CHUNKED)
    leaders.read_from(CHUNKED, 0, 3)
    assert [record.offset for record in result.getall()] == [0, 1, 2, 3]
    assert (result.getall(), state.position, asked) == ([], 4, [(CHUNKED, Read(4, 3), epoch)])
    assert (result.getall(), len(asked), result.has_more()) == ([], 1, True)
    leaders.go_on(CHUNKED, Read(4, 3), epoch)
    assert [record.offset for record in result.getall()] == [4, 5]
    assert leaders.read(CHUNKED) == Read(6, epoch)


@pytest.mark.parametrize("size", [12, 13, 14, 15, 16])
def test_a_cut_off_head_is_damage_that_is_fetched_again(size: int) -> None:
    """Its length says that it is whole."""
    head = bytearray(struct.pack(">qi", 7, size - 12).ljust(size, b"\0"))
    result = kept(Fetched(lambda _tp: True), CHUNKED, batch(5, 2), head)
    assert [record.offset for record in result.getall()] == [5, 6]
    assert not result.has_more()


def test_what_waits_for_its_leader_leaves_room_for_the_others() -> None:
    """One broker that does not answer would keep all from being fetched."""
    leaders = NewLeaders()
    shelf = Fetched(lambda _tp: True, leaders=leaders)
    leaders.read_from(CHUNKED, 0, 3)
    held, other = kept(shelf, CHUNKED, batch(0, 2, epoch=5)), kept(shelf, PLAIN, batch(0, 2))
    assert held.getall() == []
    assert (shelf.unwanted(CHUNKED), shelf.unwanted(PLAIN)) == (True, False)
    shelf.set_aside()
    assert list(shelf.values()) == [other]
    leaders.go_on(CHUNKED, Read(0, 3), 5)
    assert not shelf.unwanted(CHUNKED)
    again = kept(shelf, CHUNKED, batch(0, 2, epoch=5))
    assert [record.offset for record in again.getall()] == [0, 1]


def test_a_changelog_waits_for_no_leader() -> None:
    leaders = NewLeaders()
    shelf = Fetched(lambda tp: tp == CHUNKED, leaders=leaders)
    result = kept(shelf, PLAIN, batch(0, 2, epoch=3), batch(2, 2, epoch=5))
    taken = result.getall() + result.getall()
    assert [record.offset for record in taken] == [0, 1, 2, 3]


def test_a_large_batch_is_read_to_its_end_whatever_its_epoch() -> None:
    large = tiny(25_000, 0)
    struct.pack_into(">i", large, EPOCH, 5)
    leaders = NewLeaders()
    shelf = Fetched(lambda _tp: True, leaders=leaders)
    leaders.read_from(CHUNKED, 0, 3)
    result = kept(shelf, CHUNKED, large)
    assert result.getall() == []
    leaders.go_on(CHUNKED, Read(0, 3), 5)
    count = 0
    while result.has_more():
        shelf.hand_over(shelf, now=1.0)
        count += len(result.getall())
    assert count == 25_000
