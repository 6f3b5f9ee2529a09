"""Finds the decompressed size of a batch without decompressing it.

aiokafka decompresses a batch as a whole: one of 1 MB may become gigabytes. The framing of each
format bounds the size of a block; only that of gzip does not, so gzip is decompressed and counted
piece by piece.

What is found is never too small, and too large by no more than `SLACK`. Batches of formats before
Kafka 0.11 are not looked at: brokers since Kafka 4.0 take none.

For `fetched_batches` and `checked_batches`, which say what is mended and whether it was reported;
this changes nothing in aiokafka by itself.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Final

SLACK: Final = 4 * 1024 * 1024
"""The largest block of lz4, for which only a bound is known."""

_GZIP_RATIO: Final = 1032
"""The highest compression ratio of deflate."""

_PIECE: Final = 1024 * 1024
_ZSTD_BLOCK: Final = 128 * 1024
_XERIAL_HEADER: Final = b"\x82SNAPPY\x00"
_XERIAL_BLOCKS_AT: Final = 16

_uint32 = struct.Struct("<I").unpack_from
_block_length = struct.Struct(">i").unpack_from


def most_bytes(codec: int, data: memoryview, limit: int) -> int:
    """An upper bound for the unpacked bytes of a batch; anything over `limit` if it exceeds that.

    Broken data counts up to the defect, because unpacking fails there anyway. Data without a known
    frame header exceeds any limit.

    Args:
        codec: the codec in the batch's attributes; 0 bytes for an unknown one, which cannot be
        unpacked.
        data: the compressed records.
        limit: the limit in bytes.
    """
    if not codec:
        return len(data)
    sizes = _SIZES.get(codec)
    if sizes is None:
        return 0
    if codec == _GZIP and len(data) * _GZIP_RATIO <= limit:
        return len(data) * _GZIP_RATIO
    total = 0
    try:
        for size in sizes(data):
            total += size
            if total > limit:
                break
    except (struct.error, IndexError, EOFError, OSError, zlib.error):
        pass
    return total


def _gzip(data: memoryview) -> Iterator[int]:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
        while piece := unpacked.read(_PIECE):
            yield len(piece)


def _snappy(data: memoryview) -> Iterator[int]:
    if len(data) <= _XERIAL_BLOCKS_AT or bytes(data[: len(_XERIAL_HEADER)]) != _XERIAL_HEADER:
        yield _varint(data)
        return
    at = _XERIAL_BLOCKS_AT
    while at < len(data):
        (length,) = _block_length(data, at)
        if length <= 0:
            return
        at += 4
        yield _varint(data[at : at + length])
        at += length


def _varint(data: memoryview) -> int:
    """The unpacked length at the beginning of a snappy block."""
    number = 0
    for position in range(5):
        number |= (data[position] & 0x7F) << 7 * position
        if data[position] < 0x80:  # noqa: PLR2004 - the flag of a varint's further bytes
            break
    return number


def _frames(
    data: memoryview, magic: int, blocks: Callable[[memoryview, int], Generator[int, None, int]]
) -> Iterator[int]:
    """The sizes of the blocks in all frames; both lz4 and zstd pass over skippable ones.

    Args:
        data: one frame after another.
        magic: the format's magic number.
        blocks: yields the sizes of the blocks in the frame at an offset, and returns where it ends.
    """
    at = 0
    while at < len(data):
        (found,) = _uint32(data, at)
        if found & 0xFFFFFFF0 == _SKIPPABLE:
            at += 8 + _uint32(data, at + 4)[0]
        elif found == magic:
            at = yield from blocks(data, at)
        else:
            yield _ANYTHING
            return


def _lz4(data: memoryview, at: int) -> Generator[int, None, int]:
    """LZ4's frame format: the header of a frame bounds the size of its blocks."""
    flags, largest = data[at + 4], 1 << 8 + 2 * (data[at + 5] >> 4 & 7)
    at += 7 + 8 * (flags >> 3 & 1) + 4 * (flags & 1)
    while (head := _uint32(data, at)[0]) != 0:
        length = head & 0x7FFFFFFF
        yield length if head >> 31 else min(largest, 255 * length)
        at += 4 + length + 4 * (flags >> 4 & 1)
    return at + 4 + 4 * (flags >> 2 & 1)


def _zstd(data: memoryview, at: int) -> Generator[int, None, int]:
    """RFC 8878: a block unpacks to 128 KiB at most."""
    descriptor = data[at + 4]
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    at += 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size
    last = False
    while not last:
        head = int.from_bytes(data[at : at + 3], "little")
        if len(data) < at + 3:
            return len(data)
        last, kind, length = bool(head & 1), head >> 1 & 3, head >> 3
        yield _ZSTD_BLOCK if kind == 2 else length  # noqa: PLR2004 - a compressed block
        at += 3 + (1 if kind == 1 else length)
    return at + 4 * (descriptor >> 2 & 1)


_ANYTHING: Final = 1 << 62
"""The size of a frame in an unknown format: libzstd also unpacks those of its old versions."""

_SKIPPABLE: Final = 0x184D2A50
_GZIP: Final = 1
_SIZES: Final[dict[int, Callable[[memoryview], Iterator[int]]]] = {
    _GZIP: _gzip,
    2: _snappy,
    3: partial(_frames, magic=0x184D2204, blocks=_lz4),
    4: partial(_frames, magic=0xFD2FB528, blocks=_zstd),
}
"""By Kafka's number for each codec."""
