"""A batch's headers are bounded before it is unpacked, and their names cost no record."""

import contextlib
import struct
import tracemalloc

import pytest
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.batch_layout import AFTER_LENGTH, ATTRIBUTES_AT, LENGTH_AT, RECORDS_FROM
from app.kafka.patches.fetched_batches import Batches
from app.kafka.patches.packed_records import (
    Cut,
    CutLimits,
    Part,
    TooManyHeaders,
    decompressed,
    with_readable_names,
    without_compression,
)
from app.kafka.patches.unpacking import LARGEST, unpack, weight
from app.kafka.unreadable import Unreadable

MIB = 1024 * 1024
Headers = list[tuple[str, bytes | None]]
ENCODERS = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}


def batch(*records: tuple[bytes | None, Headers], codec: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for offset, (value, headers) in enumerate(records):
        builder.append(offset, 1_767_325_446_000, b"key", value, headers)
    return bytes(builder.build())


def unpacked(encoded: bytes, largest: int = MIB) -> list[object]:
    return [*unpack(Batches(encoded).next_batch(), memoryview(encoded), largest)]


def cut(records: bytes | memoryview, count: int, limits: CutLimits) -> list[Part]:
    cutting, parts = Cut(count, limits), list[Part]()
    while cutting.left or not parts:
        parts.append(cutting.part(records))
    return parts


BOMBS: dict[str, Headers] = {
    "empty": [("", None)],
    "names": [("a", None)],
    "values": [("", b"xy")],
    "of four bytes": [("a", b"b")],
    "of many lengths": [("a" * length, b"b" * length) for length in range(12)],
}


@pytest.mark.parametrize("codec", [0, 4])
@pytest.mark.parametrize("records", [1, 7])
@pytest.mark.parametrize("name", BOMBS)
def test_millions_of_short_headers_are_not_made(name: str, records: int, codec: int) -> None:
    number = 600_000 if name == "empty" else 350_000
    headers = BOMBS[name] * (number // len(BOMBS[name]) // records)
    encoded = batch(*[(b"{}", headers)] * records, codec=codec)
    tracemalloc.start()
    try:
        [found] = unpacked(encoded)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, Unreadable)
    assert "headers" in found.why
    assert most < 20 * MIB


@pytest.mark.parametrize("codec", [0, 3, 4])
def test_large_batches_are_read_as_they_are(codec: int) -> None:
    headers: Headers = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")]
    values = [b"%d%b" % (number, b"x" * 1000) for number in range(3000)]
    records = [(value, headers) for value in values]
    found = unpacked(batch(*records, codec=codec), LARGEST)
    assert [(one.offset, one.value, one.headers) for one in found] == [  # type: ignore[attr-defined]
        (offset, value, headers) for offset, (value, headers) in enumerate(records)
    ]


NAMES = {b"fr\xc3\xbc": "fr\u00fc", b"fr\xfc": "fr?", b"\xed\xa0\x80": "???", b"": ""}


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, MIB])
def test_a_header_name_that_is_not_utf8_loses_no_record(codec: int, size: int) -> None:
    drawn = {b"%d" % index * len(name): name for index, name in enumerate(NAMES)}
    headers: list[Headers] = [[("a", None), (name.decode(), b"\xff")] for name in drawn]
    encoded = batch(*[(bytes(size), of_one) for of_one in headers])
    for name, odd in drawn.items():
        encoded = encoded.replace(name, odd) if name else encoded
    found = unpacked(compressed(encoded, codec), LARGEST)
    assert [(one.value, one.headers) for one in found] == [  # type: ignore[attr-defined]
        (bytes(size), [("a", None), (name, b"\xff")]) for name in NAMES.values()
    ]


def test_headers_are_bounded_whatever_their_names_are() -> None:
    encoded = batch((b"{}", [("a", b"b")] * 20_000 + [("odd", None)])).replace(b"odd", b"\xffdd")
    [found] = unpacked(encoded)
    assert isinstance(found, Unreadable)
    assert "headers" in found.why


def compressed(encoded: bytes, codec: int) -> bytes:
    """The same batch as a producer compresses it."""
    if not codec:
        return encoded
    packed = bytearray(encoded[:RECORDS_FROM]) + ENCODERS[codec](encoded[RECORDS_FROM:])
    packed[ATTRIBUTES_AT + 1] |= codec
    struct.pack_into(">i", packed, LENGTH_AT, len(packed) - AFTER_LENGTH)
    return bytes(packed)


def test_a_header_weighs_what_it_takes() -> None:
    found = unpacked(batch((b"{}", [("", None)] * 1000)))
    assert weight(found) >= 1000 * 60


_headers = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=200)), max_size=9)


@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=200), _headers), min_size=1, max_size=20),
    st.integers(1, 7),
    st.integers(1, 2000),
)
def test_the_parts_of_a_batch_are_what_it_has(
    records: list[tuple[bytes | None, Headers]], together: int, size: int
) -> None:
    encoded = memoryview(batch(*records))
    plain = encoded[RECORDS_FROM:]
    made: list[tuple[bytes | None, Headers]] = []
    for part in cut(plain, len(records), CutLimits(together, size, 1000, 1000)):
        some = without_compression(encoded, plain[part.start : part.end], part.records)
        unpacked = [*Batches(some).next_batch()]
        assert unpacked[0].offset == part.first == len(made)
        assert len(unpacked) <= together
        assert part.records == 1 or weight(unpacked) <= size
        made += [(one.value, one.headers) for one in unpacked]
    assert made == records


@given(st.lists(_headers, min_size=1, max_size=9))
def test_headers_are_counted_where_they_may_be_many(records: list[Headers]) -> None:
    plain = batch(*((b"{}", headers) for headers in records))[RECORDS_FROM:]
    number, of_one = sum(map(len, records)), max(map(len, records))
    cut(plain, len(records), CutLimits(9, MIB, number, of_one))
    if number:
        for limits in (
            CutLimits(9, MIB, number - 1, number),
            CutLimits(9, MIB, number, of_one - 1),
        ):
            with pytest.raises(TooManyHeaders):
                cut(plain, len(records), limits)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\x00\x00\x00\x01\x00", id="beyond the record"),
        # aiokafka reads the attributes as a varint.
        pytest.param(b"\x80\x00\x00\x00\x01\x00", id="after long attributes"),
    ],
)
def test_no_more_headers_are_made_than_there_is_room_for(head: bytes) -> None:
    """aiokafka makes what a record claims before it looks at the record's length."""
    claimed = head + b"\x80\x89\x7a"  # a million
    records = bytes([2 * len(claimed)]) + claimed + bytes(2 * MIB)
    encoded = without_compression(memoryview(batch((b"", []))), records, 1)
    tracemalloc.start()
    try:
        [found] = unpacked(encoded, LARGEST)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, Unreadable)
    assert most < 10 * MIB


@given(st.binary(max_size=300), st.integers(1, 5))
def test_what_is_broken_is_an_error_at_most(records: bytes, count: int) -> None:
    with contextlib.suppress(ValueError):
        cut(records, count, CutLimits(2, 100, 300, 300))
    with contextlib.suppress(ValueError):
        assert len(with_readable_names(records, count)) == len(records)


def test_a_batch_is_the_same_without_compression() -> None:
    packed = batch((b"x" * 1000, [("a", b"b")]), codec=4)
    plain = without_compression(memoryview(packed), decompressed(memoryview(packed)), 1)
    assert len(plain) > 1000 > len(packed)
    assert next(iter(Batches(plain).next_batch())).value == b"x" * 1000
