"""Looks at the headers of a batch's records before they are unpacked.

Their number bounds what they may take of memory. A header of an empty name and no value has two
bytes in a batch, and sixty and more in memory: a batch of 16 MB, which compresses to 1.5 kB, would
be 600 MB. Headers of a dozen bytes and more take no more than records do. Counting them costs
microseconds for each record, so only batches are looked at that are large enough to have too many.

Their names are any bytes: neither a broker nor librdkafka checks that they are UTF-8. Java's
clients read what is not as "\ufffd"; aiokafka 0.14 raises `UnicodeDecodeError`, and so loses the
record, and every other of its batch.

For `fetched_batches`; this changes nothing in aiokafka by itself.
"""

from collections.abc import Iterator
from itertools import islice, repeat
from struct import Struct
from typing import Final

from aiokafka import codec

from app.kafka.batch_layout import AFTER_LENGTH, ATTRIBUTES_AT, LENGTH_AT, RECORDS_FROM

_length: Final = Struct(">i")
_CODEC: Final = 0x07
_MORE: Final = 0x80
_LONGEST_VARINT: Final = 10
_ASCII: Final = bytes(byte if byte < _MORE else ord("?") for byte in range(256))

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
    return next(islice(_names(batch, records), most, None), None) is not None


def with_readable_names(batch: bytes | memoryview, records: int) -> bytes:
    """The same batch, with "?" for each byte that is not ASCII in the names that are not UTF-8.

    Args:
        batch: the bytes of an uncompressed batch.
        records: the number of records in the batch's header.

    Raises:
        ValueError: the batch is broken.
    """
    readable = bytearray(batch)
    for start, end in _names(batch, records):
        name = readable[start:end]
        try:
            name.decode()
        except UnicodeDecodeError:
            readable[start:end] = name.translate(_ASCII)
    return bytes(readable)


def _names(batch: bytes | memoryview, records: int) -> Iterator[tuple[int, int]]:
    """Where the name of each header begins and ends; raises ValueError if the batch is broken."""
    at = RECORDS_FROM
    try:
        for _ in repeat(None, records):
            _, at = _varint(batch, at)
            at += 1  # attributes
            _, at = _varint(batch, at)
            _, at = _varint(batch, at)
            at = _field(batch, at)[1]
            at = _field(batch, at)[1]
            headers, at = _varint(batch, at)
            for _ in repeat(None, headers):
                start, at = _field(batch, at)
                yield start, at
                at = _field(batch, at)[1]
    except IndexError:
        raise ValueError("a record has no end") from None


def _field(batch: bytes | memoryview, at: int) -> tuple[int, int]:
    """Where a field that begins with its length has its bytes; null has none."""
    length, at = _varint(batch, at)
    return at, at + max(length, 0)


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
