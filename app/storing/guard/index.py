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
"""In bytes: enough to rule out that two records of a database ever share a digest by chance."""

HEADER_SIZE = 16
"""Bytes before the digests of a segment; a multiple of `DIGEST_SIZE` keeps them aligned."""

_SMALLEST = 16 * 1024
"""Slots of an empty index (128 KiB), so that a partition's first records need no rebuild."""

_SLOTS = 2.5
"""Slots per digest after a rebuild: more take memory, fewer mean frequent rebuilds."""

_FULLEST = 0.75
"""Share of the slots that may be in use before a rebuild."""

_LONGEST_WALK = 256
"""The most slots to probe for a digest. Chance never takes that many, but intent may: whoever can
write to the guard's changelog chooses the digests, and probing the entire table for each would keep
a worker from starting. A digest that finds no slot is not remembered; the database still catches
its duplicates.
"""

_STRANGERS = 2
"""The most segments to search in vain for a digest whose first 32 bits match: one in four thousand
million matches by chance.
"""

_SEGMENT_BITS = 0xFFFFFFFF
_LEADING_BITS = _SEGMENT_BITS << 32


class DigestIndex:
    """Segments of packed digests, and whether a digest is in one of them."""

    def __init__(self) -> None:
        self._segments: dict[int, bytes] = {}
        self._count = 0
        self._used = 0
        self._slots = _empty(_SMALLEST)

    def __len__(self) -> int:
        """The number of remembered digests."""
        return self._count

    def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of the digests that are remembered."""
        slots = self._slots
        size = len(slots) - _LONGEST_WALK
        found: set[bytes] = set()
        for digest, bits in zip(digests, _leading_bits(b"".join(digests)), strict=True):
            at = bits % size
            if slots[at] and self._probe(at, bits & _LEADING_BITS, digest):
                found.add(digest)
        return found

    def _probe(self, at: int, leading: int, digest: bytes) -> bool:
        """Search from a slot on until one is empty."""
        slots = self._slots
        strangers = 0
        for place in range(at, at + _LONGEST_WALK):
            slot = slots[place]
            if not slot or strangers == _STRANGERS:
                break
            if slot & _LEADING_BITS == leading:
                segment = self._segments.get(slot & _SEGMENT_BITS)
                if segment is not None:
                    if _holds(segment, digest):
                        return True
                    strangers += 1
        return False

    def put(self, number: int, segment: bytes, added: bytes) -> None:
        """Remember a segment, or one that has grown.

        Args:
            number: the segment's number, positive and never reused after a drop.
            segment: its header and all its digests.
            added: the digests in it that are new.
        """
        self._segments[number] = segment
        self._count += len(added) // DIGEST_SIZE
        if (
            self._used * DIGEST_SIZE + len(added)
            > (len(self._slots) - _LONGEST_WALK) * _FULLEST * DIGEST_SIZE
        ):
            self._rebuild()
        else:
            self._insert(added, number)

    def drop(self, number: int) -> None:
        """Forget a segment. Its slots stay until the next rebuild, and no longer match."""
        self._count -= len(self._segments.pop(number)) // DIGEST_SIZE - 1

    def _insert(self, digests: bytes, number: int) -> None:
        slots = self._slots
        size = len(slots) - _LONGEST_WALK
        for bits in _leading_bits(digests):
            at = bits % size
            if slots[at]:
                end = at + _LONGEST_WALK
                while at < end and slots[at]:
                    at += 1
                if at == end:
                    continue
            slots[at] = bits & _LEADING_BITS | number
        self._used += len(digests) // DIGEST_SIZE

    def _rebuild(self) -> None:
        self._slots = _empty(max(_SMALLEST, int(self._count * _SLOTS)))
        self._used = 0
        for number, segment in self._segments.items():
            self._insert(segment[HEADER_SIZE:], number)


def _empty(size: int) -> "array[int]":
    """`size` slots to begin at, and more behind the last for probing to end in."""
    return array("Q", bytes(8 * (size + _LONGEST_WALK)))


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
