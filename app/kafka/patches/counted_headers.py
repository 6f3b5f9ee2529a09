"""Bounds what the headers of a batch's records may take of memory, before they are unpacked.

A header of an empty name and no value has two bytes in a batch, and sixty and more in memory: a
batch of 16 MB, which compresses to 1.5 kB, would be 600 MB. Headers of a dozen bytes and more take
no more than records do. Counting them costs microseconds for each record, so only batches are
looked at that are large enough to have too many.

For `fetched_batches`; this changes nothing in aiokafka by itself.
"""

from itertools import repeat
from struct import Struct
from typing import Final

from aiokafka import codec

from app.kafka.batch_layout import AFTER_LENGTH, ATTRIBUTES_AT, LENGTH_AT, RECORDS_FROM

_length: Final = Struct(">i")
_CODEC: Final = 0x07
_MORE: Final = 0x80
_LONGEST_VARINT: Final = 10

_DECODERS: Final = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}


def uncompressed(encoded: memoryview, codec_: int) -> bytes:
    """Decompress a batch; raises whatever the decoder raises."""
    head = bytearray(encoded[:RECORDS_FROM])
    head[ATTRIBUTES_AT + 1] &= ~_CODEC
    records: bytes = _DECODERS[codec_](encoded[RECORDS_FROM:].tobytes())
    _length.pack_into(head, LENGTH_AT, len(head) + len(records) - AFTER_LENGTH)
    return bytes(head) + records


def too_many(batch: bytes | memoryview, records: int, most: int) -> bool:
    """Whether the records of an uncompressed batch have more than `most` headers in all.

    Args:
        batch: the bytes of the batch.
        records: the number of records in the batch's header.
        most: the most headers that are allowed.

    Raises:
        ValueError: the batch is broken.
    """
    left = most
    at = RECORDS_FROM
    try:
        for _ in repeat(None, records):
            _, at = _varint(batch, at)
            at += 1  # attributes
            _, at = _varint(batch, at)
            _, at = _varint(batch, at)
            at = _behind_field(batch, at)
            at = _behind_field(batch, at)
            headers, at = _varint(batch, at)
            left -= headers
            if left < 0 or headers < 0:
                return True
            for _ in repeat(None, 2 * headers):
                at = _behind_field(batch, at)
    except IndexError:
        raise ValueError("a record has no end") from None
    return False


def _behind_field(batch: bytes | memoryview, at: int) -> int:
    length, at = _varint(batch, at)
    return at + length if length > 0 else at


def _varint(batch: bytes | memoryview, at: int) -> tuple[int, int]:
    """Decode a zigzag varint of Kafka's protocol; returns it and the position after it."""
    byte = batch[at]
    if byte < _MORE:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number = 0
    for place in range(_LONGEST_VARINT):
        byte = batch[at + place]
        number |= (byte & ~_MORE) << 7 * place
        if byte < _MORE:
            return (number >> 1) ^ -(number & 1), at + place + 1
    raise ValueError("a number has no end")
