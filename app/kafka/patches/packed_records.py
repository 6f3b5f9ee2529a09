"""Looks at the records of a batch before they are unpacked.

What they take of memory depends on their number and on that of their headers. A header of an empty
name and no value has two bytes in a batch, and eighty in memory: a batch of 16 MB, which compresses
to 1.5 kB, would be 600 MB. So headers are counted, and a batch is cut into parts that can be
unpacked one after the other. That costs a microsecond for each record, and only batches are looked
at that are large enough to do harm.

The names of headers are any bytes: neither a broker nor librdkafka checks that they are UTF-8.
Java's clients read what is not as "\ufffd"; aiokafka 0.14 raises `UnicodeDecodeError`, and so loses
the record, and every other of its batch.

For `unpacking`; this changes nothing in aiokafka by itself.
"""

from collections.abc import Iterator
from itertools import repeat
from struct import Struct
from typing import Final, NamedTuple

from aiokafka import codec

from app.kafka.batch_layout import (
    AFTER_LENGTH,
    ATTRIBUTES_AT,
    COUNT_AT,
    LENGTH_AT,
    RECORDS_FROM,
)

OF_A_RECORD: Final = 200
"""Memory that a record takes in bytes, beside its contents."""

OF_A_HEADER: Final = 100
"""Memory that a header takes in bytes, beside its contents."""

_HEADER_BYTES: Final = 2
"""The least that a header has in a batch."""

_number: Final = Struct(">i")
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


class TooManyHeaders(Exception):  # noqa: N818 - what is the case
    """The records of a batch have more headers than are worth the memory and time."""

    def __init__(self, most: int) -> None:
        super().__init__(f"they have more than {most} headers")


class Part(NamedTuple):
    """Some successive records of a batch."""

    start: int
    """Where they begin in the batch's decompressed records, in bytes."""

    end: int
    """Where they end there."""

    records: int
    """Their number."""

    first: int
    """Offset of the first one, counted from the batch's."""


class CutLimits(NamedTuple):
    """How a batch is cut, and what it may not have."""

    records: int
    """The most records of a part."""

    size: int
    """The most bytes that a part takes in memory; a larger record is a part of its own."""

    headers: int
    """The most headers of the whole batch."""

    headers_of_one: int
    """The most headers of one record."""


def decompressed(encoded: memoryview) -> bytes | memoryview:
    """The records of an encoded batch, decompressed; raises whatever the decoder raises."""
    number = encoded[ATTRIBUTES_AT + 1] & _CODEC
    records = encoded[RECORDS_FROM:]
    return _DECODERS[number](records.tobytes()) if number else records


def without_compression(encoded: memoryview, records: bytes | memoryview, count: int) -> bytes:
    """An uncompressed batch of so many records, with the header of another.

    Its checksum is wrong.

    Args:
        encoded: the other batch.
        records: the bytes of the records.
        count: their number.
    """
    head = bytearray(encoded[:RECORDS_FROM])
    head[ATTRIBUTES_AT + 1] &= ~_CODEC
    _number.pack_into(head, LENGTH_AT, len(head) + len(records) - AFTER_LENGTH)
    _number.pack_into(head, COUNT_AT, count)
    return b"".join((head, records))


class Cut:
    """Cuts the decompressed records of a batch into parts, each when it is wanted.

    Looking at all records of a batch takes up to a third of a second.

    Args:
        count: the number of the records, as the batch's header has it.
        limits: see there.
    """

    def __init__(self, count: int, limits: CutLimits) -> None:
        self.left = max(count, 0)
        """How many records are in no part yet."""
        self._limits = limits
        self._at = 0
        self._headers = 0

    def part(self, records: bytes | memoryview) -> Part:
        """The next part of the batch's decompressed records.

        Raises:
            TooManyHeaders: there are more headers than the limits allow.
            ValueError: the records are broken.
        """
        limits = self._limits
        start = at = self._at
        number = size = first = 0
        for offset, headers, _, end in _heads(records, self.left, start):
            weight = end - at + OF_A_RECORD + OF_A_HEADER * headers
            if number and (number == limits.records or size + weight > limits.size):
                break
            self._headers += headers
            if self._headers > limits.headers:
                raise TooManyHeaders(limits.headers)
            if headers > limits.headers_of_one:
                raise TooManyHeaders(limits.headers_of_one)
            if not number:
                first = offset
            number += 1
            size += weight
            at = end
        self._at = at
        self.left -= number
        if not self.left and at != len(records):
            raise ValueError("there is something after the last record")
        return Part(start, at, number, first)


def with_readable_names(records: bytes | memoryview, count: int) -> bytes:
    """The same records, with "?" for each byte that is not ASCII in names that are not UTF-8.

    Args:
        records: the decompressed records of a batch.
        count: their number.

    Raises:
        ValueError: the records are broken.
    """
    readable = bytearray(records)
    for start, end in _names(records, count):
        name = readable[start:end]
        try:
            name.decode()
        except UnicodeDecodeError:
            readable[start:end] = name.translate(_ASCII)
    return bytes(readable)


def _heads(
    records: bytes | memoryview, count: int, at: int = 0
) -> Iterator[tuple[int, int, int, int]]:
    """For each record its offset in the batch, its headers' number, where they begin, and its end.

    The first record begins at `at`.

    A record claims no more headers than there is room for: aiokafka would make them all, of what
    comes after the record, before it looks at the record's length.

    Raises:
        ValueError: the records are broken.
    """
    try:
        for _ in repeat(None, count):
            length, at = _varint(records, at)
            end = at + length
            # A byte, but aiokafka reads it as a varint, and what it reads is what matters.
            at += 1 if records[at] < _MORE else _varint(records, at)[1] - at
            at += 1 if records[at] < _MORE else _varint(records, at)[1] - at  # the timestamp
            offset, at = _varint(records, at)
            at = _field(records, at)[1]  # the key
            at = _field(records, at)[1]  # the value
            headers, at = _varint(records, at)
            if not 0 <= headers * _HEADER_BYTES <= end - at or end > len(records):
                raise ValueError("a record is longer than it says")
            yield offset, headers, at, end
            at = end
    except IndexError:
        raise ValueError("a record has no end") from None


def check_lengths(records: bytes | memoryview, count: int) -> None:
    """Check that nothing in the decompressed records of a batch is longer than they are.

    Raises:
        ValueError: the records are broken.
    """
    for _ in _names(records, count):
        pass


def _names(records: bytes | memoryview, count: int) -> Iterator[tuple[int, int]]:
    """Where each header's name begins and ends; raises ValueError if the records are broken."""
    try:
        for _, headers, headers_at, end in _heads(records, count):
            at = headers_at
            for _ in repeat(None, headers):
                start, at = _field(records, at)
                yield start, at
                at = _field(records, at)[1]
            if at != end:
                raise ValueError("a record is not as long as it says")
    except IndexError:
        raise ValueError("a header has no end") from None


def _field(records: bytes | memoryview, at: int) -> tuple[int, int]:
    """Where a field that begins with its length has its bytes; null has none."""
    length, at = _varint(records, at)
    return at, at + max(length, 0)


def _varint(records: bytes | memoryview, at: int) -> tuple[int, int]:
    """Decode a zigzag varint of Kafka's protocol; returns it and the position after it."""
    byte = records[at]
    if byte < _MORE:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number = 0
    for place in range(_LONGEST_VARINT):
        byte = records[at + place]
        number |= (byte & ~_MORE) << 7 * place
        if byte < _MORE:
            return (number >> 1) ^ -(number & 1), at + place + 1
    raise ValueError("a number has no end")
