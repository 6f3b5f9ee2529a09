"""A compact set of digests: what the guard remembers of one partition.

The digests themselves stand in the values of the guard's table, which are shared with the index,
not copied: a header of 16 bytes and then 16 bytes for each. The index adds only slots that point
there: an open-addressing hash table of 64-bit slots, 32 bits of the digest to tell most strangers
apart and the number of the segment in which the whole digest is looked up. That is some 20 bytes
for a record, where a Python set of 16-byte strings takes more than 90.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence

DIGEST_SIZE = 16
"""Bytes: enough that no two records of a database's lifetime share a digest by accident."""

HEADER_SIZE = 16
"""Bytes before the digests of a segment; a multiple of the digest's keeps them aligned."""

_SMALLEST = 16 * 1024
"""Slots, 128 KiB: a partition's first records cost no rebuild."""

_SLOTS = 2.5
"""For each digest, after a rebuild: memory against how often everything is rehashed."""

_SEGMENT_BITS = 0xFFFFFFFF
_LEADING_BITS = _SEGMENT_BITS << 32


class DigestIndex:
    """Segments of packed digests, and whether a digest is in one of them."""

    def __init__(self) -> None:
        self._segments: dict[int, bytes] = {}
        self._count = 0
        self._used = 0
        self._slots = array("Q", bytes(8 * _SMALLEST))

    def __len__(self) -> int:
        """Remembered digests."""
        return self._count

    def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of some digests that are remembered."""
        slots = self._slots
        size = len(slots)
        found: set[bytes] = set()
        for digest, bits in zip(digests, _leading_bits(b"".join(digests)), strict=True):
            at = bits % size
            if slots[at] and self._probe(at, bits & _LEADING_BITS, digest):
                found.add(digest)
        return found

    def _probe(self, at: int, leading: int, digest: bytes) -> bool:
        """Look from a slot on until one is empty."""
        slots = self._slots
        while slot := slots[at]:
            if slot & _LEADING_BITS == leading:
                segment = self._segments.get(slot & _SEGMENT_BITS)
                if segment is not None and _holds(segment, digest):
                    return True
            at = at + 1 if at + 1 < len(slots) else 0
        return False

    def put(self, number: int, segment: bytes, added: bytes) -> None:
        """Remember a segment, or one that has grown.

        Args:
            number: of the segment; positive, never used again after it was dropped.
            segment: its header and all its digests.
            added: the digests in it that are new.
        """
        self._segments[number] = segment
        self._count += len(added) // DIGEST_SIZE
        if (self._used * DIGEST_SIZE + len(added)) * 4 > len(self._slots) * 3 * DIGEST_SIZE:
            self._rebuild()
        else:
            self._insert(added, number)

    def drop(self, number: int) -> None:
        """Forget a segment. Its slots stay until the next rebuild, and no longer match."""
        self._count -= len(self._segments.pop(number)) // DIGEST_SIZE - 1

    def _insert(self, digests: bytes, number: int) -> None:
        slots = self._slots
        size = len(slots)
        for bits in _leading_bits(digests):
            at = bits % size
            while slots[at]:
                at += 1
                if at == size:
                    at = 0
            slots[at] = bits & _LEADING_BITS | number
        self._used += len(digests) // DIGEST_SIZE

    def _rebuild(self) -> None:
        self._slots = array("Q", bytes(8 * max(_SMALLEST, int(self._count * _SLOTS))))
        self._used = 0
        for number, segment in self._segments.items():
            self._insert(segment[HEADER_SIZE:], number)


def _leading_bits(digests: bytes) -> Iterable[int]:
    """The first 64 bits of each digest."""
    halves = array("Q", digests)
    if sys.byteorder == "big":
        halves.byteswap()
    return halves[::2]


def _holds(segment: bytes, digest: bytes) -> bool:
    at = segment.find(digest, HEADER_SIZE)
    while at >= 0 and at % DIGEST_SIZE:
        at = segment.find(digest, at + 1)
    return at >= 0
