"""Counts the headers of a batch's records before objects are made of them.

aiokafka makes a tuple of each: 64 bytes of memory for a header of two bytes, without name and
value, of which a compressed batch of some kilobytes may hold millions.

For `fetched_batches` and `checked_batches`, which say what is mended and whether it was reported;
this changes nothing in aiokafka by itself.
"""

from collections.abc import Callable
from typing import Final

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode

_UNPACK: Final[dict[int, Callable[[memoryview], bytes]]] = {
    1: gzip_decode,
    2: snappy_decode,
    3: lz4_decode,
    4: zstd_decode,
}
"""By the number that Kafka gives each codec."""

_MORE, _LONGEST = 0x80, 10
"""The flag of a varint's further bytes, and how many bytes one may have."""


def too_many_headers(codec: int, data: memoryview, records: int, most: int) -> bool:
    """Whether the records of a batch have more than `most` headers in all.

    Data that is broken counts as far as it can be read: aiokafka makes nothing of the rest.

    Args:
        codec: of the batch's attributes.
        data: the records, compressed with it.
        records: as many as the batch says.
        most: headers.
    """
    try:
        return _count(_UNPACK[codec](data) if codec else data, records, most) > most
    except Exception:  # noqa: BLE001 - whatever the bytes make a codec raise; aiokafka says it
        return False


def _count(data: bytes | memoryview, records: int, most: int) -> int:
    """See Kafka's protocol guide, "Record"."""
    found = at = 0
    for _ in range(records):
        length, at = _varint(data, at)
        end = at + length
        at += 1
        for _delta in ("timestamp", "offset"):
            _, at = _varint(data, at)
        for _bytes in ("key", "value"):
            size, at = _varint(data, at)
            at += max(0, size)
        headers, _ = _varint(data, at)
        found += max(0, headers)
        if found > most:
            break
        at = end
    return found


def _varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A number in zigzag encoding, and where it ends; raises `IndexError` beyond the end."""
    number = 0
    for position in range(_LONGEST):
        byte = data[at + position]
        number |= (byte & ~_MORE) << 7 * position
        if byte < _MORE:
            break
    return (number >> 1) ^ -(number & 1), at + position + 1
