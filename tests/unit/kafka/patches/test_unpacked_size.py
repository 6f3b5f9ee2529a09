"""How large a batch becomes is known before it is unpacked."""

import gzip
import tracemalloc
from collections.abc import Callable

import cramjam
import pytest
from aiokafka import codec
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.patches.unpacked_size import SLACK, most_bytes
from tests.support import cost

MIB = 1024 * 1024


def exceeds(number: int, data: memoryview, limit: int) -> bool:
    return most_bytes(number, data, limit) > limit


def lz4_as_java(data: bytes) -> bytes:
    """In independent blocks with checksums, as Kafka's own client does it."""
    compressor = cramjam.lz4.Compressor(content_checksum=True, block_linked=False)
    compressor.compress(data)
    return bytes(compressor.finish())


def snappy_raw(data: bytes) -> bytes:
    return bytes(codec.snappy_encode(data, xerial_compatible=False))


PACKED: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, codec.gzip_encode),
    "gzip in members": (1, lambda data: gzip.compress(data[:1]) + gzip.compress(data[1:])),
    "snappy": (2, codec.snappy_encode),
    "snappy without blocks": (2, snappy_raw),
    "lz4": (3, codec.lz4_encode),
    "lz4 of Java": (3, lz4_as_java),
    "lz4 in frames": (3, lambda data: codec.lz4_encode(data[:1]) + codec.lz4_encode(data[1:])),
    "zstd": (4, codec.zstd_encode),
    "zstd, strong": (4, lambda data: codec.zstd_encode(data, 19)),
    "zstd in frames": (4, lambda data: codec.zstd_encode(data[:1]) + codec.zstd_encode(data[1:])),
}
every_format = pytest.mark.parametrize("format_", PACKED)


def packed(format_: str, data: bytes) -> tuple[int, memoryview]:
    number, pack = PACKED[format_]
    return number, memoryview(pack(data))


@every_format
@given(st.binary(min_size=1, max_size=100), st.integers(1, 3000))
def test_what_is_found_is_never_too_small(format_: str, part: bytes, times: int) -> None:
    data = part * times

    assert exceeds(*packed(format_, data), len(data) - 1)
    assert not exceeds(*packed(format_, data), len(data) + SLACK)


@every_format
def test_a_bomb_is_found_without_being_unpacked(format_: str) -> None:
    number, bomb = packed(format_, bytes(64 * MIB))
    tracemalloc.start()

    assert exceeds(number, bomb, 20 * MIB)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB
    assert cost(lambda: exceeds(number, bomb, 20 * MIB)) < 10


@pytest.mark.parametrize(
    "before", [b"", codec.zstd_encode(b"a"), b"\x50\x2a\x4d\x18\x01\x00\x00\x00x"]
)
@pytest.mark.parametrize("version", range(0x22, 0x28))
def test_a_frame_of_an_old_zstd_may_become_anything(version: int, before: bytes) -> None:
    """libzstd unpacks those from 0.4 to 0.7: 32 KB of them became half a gigabyte."""
    frame = bytes([version]) + b"\xb5\x2f\xfd" + bytes(20)
    assert exceeds(4, memoryview(before + frame), 16 * MIB)


@pytest.mark.parametrize("number", range(8))
@given(st.binary(max_size=60))
def test_broken_data_is_no_error(number: int, data: bytes) -> None:
    exceeds(number, memoryview(data), 10)


@every_format
@given(st.data())
def test_data_that_is_cut_or_changed_is_no_error(format_: str, data: st.DataObject) -> None:
    number, good = packed(format_, b"some records, " * 50)
    broken = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for at in data.draw(st.lists(st.integers(0, max(0, len(broken) - 1)), max_size=4)):
        broken[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))

    exceeds(number, memoryview(broken), 100)


def test_a_length_that_snappy_only_claims_is_believed_before_memory_is_taken_for_it() -> None:
    assert exceeds(2, memoryview(b"\xff\xff\xff\xff\x0f"), 1000)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "data",
    [
        b"\x82SNAPPY\x00" + bytes(8) + b"\x00\x00\x00\x01\x00" * 200_000,
        b"\x04\x22\x4d\x18\x60\x40\x82" + b"\x01\x00\x00\x80x" * 200_000,
        b"\x28\xb5\x2f\xfd\x00\x58" + b"\x08\x00\x00x" * 250_000,
        gzip.compress(b"") * 50_000,
    ],
)
def test_many_small_blocks_are_looked_through_once(number: int, data: bytes) -> None:
    assert cost(lambda: exceeds(number, memoryview(data), 100 * MIB)) < 20
