"""Tracks the next offset of each partition and the offset that may be committed.

Pure bookkeeping, so that the rules that prevent the loss of records are tested without a broker:

- A position counts only when it was set by `reset`, from the offset that the group committed. What
  is fetched for a partition without one (a fetch from before a rebalance) is discarded.
- Records are accepted from exactly the expected offset on. Repeated ones are trimmed. A jump ahead
  is fetched again once; if the broker still has nothing in between, the hole is real (compaction,
  transaction markers, or retention).
- The committable offset is the end of the finished chunks at the head of the delivery order,
  however the chunks behind them finish.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from faust.types import TP

from app.kafka.delivery.chunk import Chunk
from app.kafka.delivery.resume import Own
from app.kafka.records import Record, in_order


@dataclass(frozen=True)
class Rewind:
    """The fetched records begin after the expected offset: fetch again from `offset`."""

    offset: int


@dataclass(frozen=True)
class Admitted:
    """Records to deliver, in order; `hole` is the expected offset if they begin after it."""

    records: Sequence[Record]
    hole: int | None = None


NOTHING = Admitted(())

NOWHERE: Mapping[TP, int | None] = {}
"""All partitions start where the group has committed."""


@dataclass
class _Position:
    expected: int
    committed: int
    most: int
    moved: bool = False
    skipped: bool = False
    rewound_at: int | None = None
    chunks: deque[Chunk] = field(default_factory=deque)

    def advance(self) -> None:
        """Pass the finished chunks at the head, and what is skipped behind them."""
        to = self.committed
        while self.chunks and self.chunks[0].finished:
            to = self.chunks.popleft().next_offset
        if self.skipped and not self.chunks:
            self.skipped = False
            to = self.expected
        self.moved |= to != self.committed
        self.committed = to


class OutOfOrderError(Exception):
    """Fetched records are not in the order of their offsets; this is a defect."""


class Ledger:
    """The positions of the assigned partitions."""

    def __init__(self) -> None:
        self._positions: dict[TP, _Position] = {}

    def reset(self, offsets: Mapping[TP, int], moved: Mapping[TP, int | None] = NOWHERE) -> None:
        """Start over at these offsets; chunks that were delivered before are never committed.

        Args:
            offsets: the next offset of each partition.
            moved: the group's committed offsets of partitions that do not start there, because
                there is none or its records are gone. Their start is committed, so that a loss is
                reported once, and the next start can tell what was lost since.
        """
        self._positions = {
            tp: _Position(offset, offset, max(offset, moved.get(tp) or 0), moved=tp in moved)
            for tp, offset in offsets.items()
        }

    def forget(self, partitions: Iterable[TP]) -> None:
        """Drop revoked partitions: discard what is fetched for them, and commit nothing more."""
        for tp in partitions:
            self._positions.pop(tp, None)

    def admit(self, tp: TP, records: Sequence[Record]) -> Admitted | Rewind:
        """Decide which records of a fetched list are delivered.

        Raises:
            OutOfOrderError: their offsets do not increase. What is read next follows from the last
                one, so others' records would be passed over; the readers make sure of it.
        """
        position = self._positions.get(tp)
        if position is None:
            return NOTHING
        if not in_order(records):
            raise OutOfOrderError(f"fetched {tp.topic}/{tp.partition} with offsets out of order")
        expected = position.expected
        if records and records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
        if not records:
            return NOTHING
        if records[0].offset == expected:
            return Admitted(records)
        if position.rewound_at != expected:
            position.rewound_at = expected
            return Rewind(expected)
        return Admitted(records, hole=expected)

    def go_back(self, tp: TP, offset: int) -> None:
        """Start over, because the log has other records from an offset before the position on.

        As after `reset`, chunks that were delivered before are never committed. So what is not
        finished before that offset has to come again, too: the new position is never beyond it.
        """
        before = self._positions[tp]
        before.advance()
        start = min(offset, before.committed)
        moved = before.moved or start != before.committed
        self._positions[tp] = _Position(start, start, before.most, moved=moved)

    def skip_to(self, tp: TP, offset: int) -> None:
        """Continue at `offset`, because there is nothing before it.

        What was delivered before is still to be finished; then `offset` is committed, too.
        """
        position = self._positions.get(tp)
        if position is not None:
            position.expected = offset
            position.skipped = True

    def deliver(self, chunk: Chunk) -> None:
        """Advance past `chunk`, which is handed over now.

        One that does not begin at the position counts for nothing, as after `reset`: the position
        has been set elsewhere since it was fetched, and is fetched from there.
        """
        position = self._positions.get(chunk.tp)
        if position is not None and position.expected == chunk.first_offset:
            position.expected = chunk.next_offset
            position.chunks.append(chunk)

    def divide(self, chunk: Chunk, most: int) -> list[Chunk]:
        """Replace a delivered chunk by parts of at most so many records, which may be committed.

        Returns:
            The parts; none if the chunk is to be delivered again, or to another worker.
        """
        if not self.holds(chunk):
            return []
        position = self._positions[chunk.tp]
        parts = chunk.divide(most)
        position.chunks = deque(
            each for one in position.chunks for each in (parts if one is chunk else [one])
        )
        return parts

    def holds(self, chunk: Chunk) -> bool:
        """Whether a delivered chunk counts; if not, its records are delivered again."""
        position = self._positions.get(chunk.tp)
        return position is not None and chunk in position.chunks

    def untaken(self, tp: TP) -> Chunk | None:
        """The first delivered chunk of a partition that has not reached its agent yet."""
        position = self._positions.get(tp)
        chunks = position.chunks if position else ()
        return next((chunk for chunk in chunks if not chunk.taken), None)

    def at_work(self) -> frozenset[TP]:
        """Partitions whose first unfinished chunk has reached its agent."""
        return frozenset(
            tp for tp, one in self._positions.items() if one.chunks and one.chunks[0].taken
        )

    def take_back(self, tp: TP, offset: int) -> None:
        """Forget the chunks from `offset` on, so that they are delivered again."""
        position = self._positions.get(tp)
        if position is not None:
            position.expected = offset
            while position.chunks and position.chunks[-1].first_offset >= offset:
                position.chunks.pop()

    def committable(self) -> dict[TP, int]:
        """The offset to commit for each partition in which it has advanced."""
        moved = {}
        for tp, position in self._positions.items():
            position.advance()
            if position.moved:
                position.moved = False
                moved[tp] = position.committed
                position.most = max(position.most, position.committed)
        return moved

    def put_back(self, partitions: Iterable[TP]) -> None:
        """Include these partitions in the next commit, because Kafka did not take their offsets."""
        for tp in partitions:
            if tp in self._positions:
                self._positions[tp].moved = True

    def taken(self, offsets: Mapping[TP, int]) -> None:
        """Note that Kafka has taken these offsets, the last ones that were to be committed."""
        for tp in offsets.keys() & self._positions.keys():
            self._positions[tp].most = offsets[tp]

    def position(self, tp: TP) -> int | None:
        """The next offset to deliver, or None while it is unknown."""
        position = self._positions.get(tp)
        return position.expected if position else None

    def committed(self, tp: TP) -> int | None:
        """The offset up to which everything is finished, or None while it is unknown."""
        position = self._positions.get(tp)
        return position.committed if position else None

    def own(self, tp: TP) -> Own | None:
        """How far this worker is with a partition, or None while it is unknown."""
        position = self._positions.get(tp)
        return Own(position.committed, position.most) if position else None
