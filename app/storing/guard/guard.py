"""The table behind the guard, and an index of it for each assigned partition.

An entry of the table is a *segment*: under the partition and offset where its first chunk begins
it holds when it was begun, where that was (a tag of the topic prefix and of the database), and the
packed digests of what was stored, 16 bytes each. What was learnt from one database says nothing
about another: only segments with the tag of the present one count. A chunk's
digests join the newest segment while that is short, so that a trickle of single records does not
cost a table entry each. Entries are written after the database answered: one written before would
make a redelivery after a crash look like a duplicate of something that was never stored.
"""

import hashlib
import itertools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass

from app.settings import GuardSettings
from app.storing.guard.entries import HEADER, SEGMENT_BYTES, partition_of
from app.storing.guard.index import HEADER_SIZE, DigestIndex

logger = logging.getLogger(__name__)

MOST_FORGOTTEN = 100
"""Segments that are forgotten at a time; a chunk adds one, and seldom outweighs as many."""

UNTAGGED = bytes(8)
"""The tag of segments from before tags were introduced; their database is unknown."""

FOREIGN = 0
"""The number of segments with a foreign tag, which are not in the index."""

Table = MutableMapping[str, bytes]


@dataclass(frozen=True)
class _Segment:
    number: int
    begun: float
    tag: bytes


class _Partition:
    """The index of a partition, and its segments by their keys in the table, oldest first."""

    def __init__(self) -> None:
        self.index = DigestIndex()
        self.segments: OrderedDict[str, _Segment] = OrderedDict()
        self._numbers = itertools.count(1)

    def begin(self, key: str, begun: float, tag: bytes) -> _Segment:
        segment = self.segments[key] = _Segment(next(self._numbers), begun, tag)
        return segment

    def load(self, key: str, value: bytes, tag: bytes | None) -> None:
        begun, its_tag = HEADER.unpack_from(value)
        if its_tag != tag:
            self.segments[key] = _Segment(FOREIGN, begun, its_tag)
            return
        segment = self.begin(key, begun, its_tag)
        self.index.put(segment.number, value, value[HEADER_SIZE:])

    def foreign(self) -> list[_Segment]:
        return [one for one in self.segments.values() if one.number == FOREIGN]

    def mixed(self) -> bool:
        """Whether another deployment has written a segment between two of ours."""
        ours = [one.begun for one in self.segments.values() if one.number != FOREIGN]
        return bool(ours) and any(
            min(ours) < one.begun < max(ours) and one.tag != UNTAGGED for one in self.foreign()
        )


class Guard:
    """Remembers the digests of stored documents, per partition of the internal topic."""

    def __init__(
        self,
        table: Table,
        settings: GuardSettings,
        *,
        clock: Callable[[], float],
        forget: Callable[[str], None],
        topic_prefix: str = "",
    ) -> None:
        """Build it empty.

        Args:
            table: keys are `<partition>/<offset>`, values a header and digests.
            settings: how much to remember in each partition.
            clock: epoch seconds.
            forget: drops a key from this worker's copy of the table, without a change in Kafka.
            topic_prefix: of the topics whose records it remembers.
        """
        self._table = table
        self._settings = settings
        self._clock = clock
        self._forget = forget
        self._topic_prefix = topic_prefix
        self._identity: bytes | None = None
        self._tag: bytes | None = None
        self._told_foreign = self._told_mixed = False
        self._partitions: dict[int, _Partition] = {}

    def bind(self, identity: bytes | None) -> None:
        """Use only what was learnt from this database from now on.

        Args:
            identity: identifies the database; None while it has not answered, when nothing is
            known.
        """
        if identity == self._identity:
            return
        forgotten = sum(self.remembered().values())
        if self._identity is not None and forgotten:
            logger.warning(
                "Another database is in the place of the one before: the guard forgets %d records "
                "that were stored in that one",
                forgotten,
            )
        self._identity = identity
        self._tag = None if identity is None else _tag(self._topic_prefix, identity)
        for partition in self._partitions:
            self._partitions[partition] = _Partition()
        self._load()

    def assign(self, partitions: Iterable[int]) -> None:
        """Build the indexes of these partitions from the recovered table, and drop all others."""
        self._partitions = {partition: _Partition() for partition in partitions}
        for key, value in list(self._table.items()):
            if partition_of(key, value) not in self._partitions:
                self._forget(key)
        self._load()

    def _load(self) -> None:
        entries = []
        for key, value in self._table.items():
            number = partition_of(key, value)
            if number in self._partitions:
                entries.append((HEADER.unpack_from(value)[0], key, value, number))
        for _, key, value, number in sorted(entries):
            self._partitions[number].load(key, value, self._tag)
        if self._tag is not None:
            self._tell()

    def _tell(self) -> None:
        """Log once that entries are ignored, or that two deployments share the table."""
        foreign = sum(len(known.foreign()) for known in self._partitions.values())
        if foreign and not self._told_foreign:
            self._told_foreign = True
            logger.warning(
                "The guard does not rely on %d entries of its table: they were learnt from another "
                "database, for another topic prefix, or by an older version",
                foreign,
            )
        if not self._told_mixed and any(known.mixed() for known in self._partitions.values()):
            self._told_mixed = True
            logger.error(
                "Two deployments seem to share this application id: both write to the guard's "
                "table, for different databases or topic prefixes. They are kept apart in it, but "
                "Kafka gives each of them a part of the other's partitions: give each deployment "
                "a PERSISTER_APP_ID of its own"
            )

    def revoke(self, partitions: Iterable[int]) -> None:
        """Drop the indexes of these partitions."""
        for partition in partitions:
            self._partitions.pop(partition, None)

    def known(self, partition: int, digests: Sequence[bytes]) -> set[bytes]:
        """Those of the digests whose records are known to be stored."""
        known = self._partitions.get(partition)
        return known.index.known(digests) if known else set()

    def remember(self, partition: int, first_offset: int, digests: list[bytes]) -> None:
        """Remember that the records with these digests are stored.

        Does nothing for a partition that is not assigned (any more): its entries belong to another
        worker, and the database still catches duplicates.

        Args:
            partition: a partition of the internal topic.
            first_offset: first offset of the chunk that they came in.
            digests: 16 bytes each, in any order.
        """
        known = self._partitions.get(partition)
        tag = self._tag
        if known is None or tag is None or not digests or not self._settings.records:
            return
        key, new = self._place(known, f"{partition}/{first_offset}", tag)
        segment = known.segments[key]
        added = b"".join(digests)
        before = None if new else self._table.get(key)
        value = (before or HEADER.pack(segment.begun, tag)) + added
        known.index.put(segment.number, value, added)
        self._table[key] = value
        self._expire(known)

    def _place(self, known: _Partition, key: str, tag: bytes) -> tuple[str, bool]:
        """The segment to add digests to: the one of this key, the newest if short, or a new one."""
        found = known.segments.get(key)
        if found is not None and found.number != FOREIGN:
            return key, False
        newest = next(reversed(known.segments), key)
        short = newest != key and len(self._table[newest]) < SEGMENT_BYTES
        if short and known.segments[newest].number != FOREIGN:
            return newest, False
        known.segments.pop(key, None)
        known.begin(key, self._clock(), tag)
        return key, True

    def _expire(self, known: _Partition) -> None:
        """Forget the oldest segments while there are too many records, or they are too old.

        A few at a time, because each is a record in the changelog: after a long pause, or if
        somebody else has written to it, there may be very many.
        """
        oldest_allowed = self._clock() - self._settings.age
        for _ in range(MOST_FORGOTTEN):
            if len(known.segments) <= 1:
                return
            key, segment = next(iter(known.segments.items()))
            if len(known.index) <= self._settings.records and segment.begun >= oldest_allowed:
                return
            if segment.number != FOREIGN:
                known.index.drop(segment.number)
            del known.segments[key]
            self._table.pop(key, None)

    def remembered(self) -> dict[int, int]:
        """The number of remembered records by partition, for `/status`."""
        return {partition: len(known.index) for partition, known in self._partitions.items()}


def _tag(topic_prefix: str, identity: bytes) -> bytes:
    prefix = hashlib.sha256(topic_prefix.encode()).digest()
    return prefix[:4] + hashlib.sha256(identity).digest()[:4]
