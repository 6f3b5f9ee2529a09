"""The table behind the guard, and an index of it for each assigned partition.

An entry of the table is a *segment*: under the partition and offset where its first chunk begins
it holds when it was begun and the packed digests of what was stored, 16 bytes each. A chunk's
digests join the newest segment while that is short, so that a trickle of single records does not
cost a table entry each. Entries are written after the database answered: one written before would
make a redelivery after a crash look like a duplicate of something that was never stored.
"""

import itertools
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass

from app.settings import GuardSettings
from app.storing.guard.index import HEADER_SIZE, DigestIndex

SEGMENT_BYTES = 4096
"""Size at which a segment is left and a new one begun: a few hundred digests."""

_HEADER = struct.Struct(">d8x")
"""When the segment was begun, epoch seconds; padded to `HEADER_SIZE`."""

Table = MutableMapping[str, bytes]


@dataclass(frozen=True)
class _Segment:
    number: int
    begun: float


class _Partition:
    """Index and segments of one partition, the oldest first, by their keys in the table."""

    def __init__(self) -> None:
        self.index = DigestIndex()
        self.segments: OrderedDict[str, _Segment] = OrderedDict()
        self._numbers = itertools.count(1)

    def begin(self, key: str, begun: float) -> _Segment:
        segment = self.segments[key] = _Segment(next(self._numbers), begun)
        return segment

    def load(self, key: str, value: bytes) -> None:
        segment = self.begin(key, *_HEADER.unpack_from(value))
        self.index.put(segment.number, value, value[HEADER_SIZE:])


class Guard:
    """Remembers the digests of stored documents, per partition of the internal topic.

    `remember` writes to the table and must run in the context of the event whose records were
    stored: Faust sends a table's change to the partition of the current event.
    """

    def __init__(
        self,
        table: Table,
        settings: GuardSettings,
        *,
        clock: Callable[[], float],
        forget: Callable[[str], None],
    ) -> None:
        """Build it empty.

        Args:
            table: keys are `<partition>/<offset>`, values a header and digests.
            settings: how much to remember in each partition.
            clock: epoch seconds.
            forget: drops a key from this worker's copy of the table, without a change in Kafka.
        """
        self._table = table
        self._settings = settings
        self._clock = clock
        self._forget = forget
        self._partitions: dict[int, _Partition] = {}

    def assign(self, partitions: Iterable[int]) -> None:
        """Build the indexes of these partitions from the recovered table, and drop all others."""
        self._partitions = {partition: _Partition() for partition in partitions}
        for key, value in sorted(self._table.items(), key=_by_age):
            partition = self._partitions.get(_partition_of(key))
            if partition is None:
                self._forget(key)
            else:
                partition.load(key, value)

    def revoke(self, partitions: Iterable[int]) -> None:
        """Drop what is remembered of these partitions."""
        for partition in partitions:
            self._partitions.pop(partition, None)

    def known(self, partition: int, digests: Sequence[bytes]) -> set[bytes]:
        """Those of some digests whose records are known to be stored."""
        known = self._partitions.get(partition)
        return known.index.known(digests) if known else set()

    def remember(self, partition: int, first_offset: int, digests: list[bytes]) -> None:
        """Note that the records with these digests are stored.

        Nothing is noted for a partition that is not assigned (any more): its entries are the
        business of another worker, and the database still knows.

        Args:
            partition: of the internal topic.
            first_offset: of the chunk that they came in.
            digests: 16 bytes each, in any order.
        """
        known = self._partitions.get(partition)
        if known is None or not digests or not self._settings.records:
            return
        key = self._place(known, f"{partition}/{first_offset}")
        segment = known.segments[key]
        added = b"".join(digests)
        value = (self._table.get(key) or _HEADER.pack(segment.begun)) + added
        known.index.put(segment.number, value, added)
        self._table[key] = value
        self._expire(known)

    def _place(self, known: _Partition, key: str) -> str:
        """The segment that takes more digests: of this key, the newest if short, or a new one."""
        if key not in known.segments:
            newest = next(reversed(known.segments), None)
            if newest is not None and len(self._table[newest]) < SEGMENT_BYTES:
                return newest
            known.begin(key, self._clock())
        return key

    def _expire(self, known: _Partition) -> None:
        """Forget the oldest segments while there are too many records or they are too old."""
        oldest_allowed = self._clock() - self._settings.age
        while len(known.segments) > 1:
            key, segment = next(iter(known.segments.items()))
            if len(known.index) <= self._settings.records and segment.begun >= oldest_allowed:
                return
            known.index.drop(segment.number)
            del known.segments[key]
            self._table.pop(key, None)

    def remembered(self) -> dict[int, int]:
        """Remembered records by partition, for `/status`."""
        return {partition: len(known.index) for partition, known in self._partitions.items()}


def _by_age(entry: tuple[str, bytes]) -> tuple[float, str]:
    key, value = entry
    return _HEADER.unpack_from(value)[0], key


def _partition_of(key: str) -> int:
    return int(key.partition("/")[0])
