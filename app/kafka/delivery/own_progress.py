"""Remembers how far this worker was with partitions, from one assignment to the next.

Any member of the group may commit any offset. A worker that keeps a partition knows better where to
read on (see `resume.start`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from faust.types import TP

from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.resume import Own


@dataclass(frozen=True)
class _Noted:
    """How far this worker was with a partition.

    Args:
        own: that.
        topic: the id of the topic that its offsets are of; None if that is not known.
        generation: of the group, in which that was so.
    """

    own: Own
    topic: bytes | None
    generation: int


class OwnProgress:
    """How far this worker was with the partitions that it has, or had up to now.

    Args:
        ledger: knows it while positions are set.
        generation: the group's present one.
    """

    def __init__(self, ledger: Ledger, generation: Callable[[], int]) -> None:
        self._ledger = ledger
        self._generation = generation
        self._placed_in = 0
        self._noted: dict[TP, _Noted] = {}

    def placed(self) -> None:
        """Note that positions have been set in the present generation."""
        self._placed_in = self._generation()

    def note(self, partitions: Iterable[TP], topics: Mapping[TP, bytes]) -> None:
        """Remember how far these partitions are, and forget the others.

        Args:
            partitions: those that this worker has.
            topics: the ids of the topics that their positions are in, as far as known.
        """
        noted = {}
        for tp in partitions:
            if (own := self._ledger.own(tp)) is not None:
                noted[tp] = _Noted(own, topics.get(tp), self._placed_in)
            elif (before := self._recent(tp)) is not None:
                noted[tp] = replace(before, generation=self._generation())
        self._noted = noted

    def forget(self, partitions: Iterable[TP]) -> None:
        """Forget how far these partitions were: they are read from where the group says."""
        for tp in partitions:
            self._noted.pop(tp, None)

    def topics(self, partitions: Collection[TP]) -> dict[TP, bytes]:
        """The ids of the topics that the offsets are of, as far as known."""
        noted = {tp: self._recent(tp) for tp in partitions}
        return {tp: one.topic for tp, one in noted.items() if one and one.topic is not None}

    def of(self, tp: TP, topic: bytes | None) -> Own | None:
        """How far this worker was, unless another may have had the partition since.

        Args:
            tp: the partition.
            topic: the id that its topic has now. In another one the offsets mean nothing.
        """
        noted = self._recent(tp)
        if noted is None or (topic and noted.topic and topic != noted.topic):
            return None
        return noted.own

    def _recent(self, tp: TP) -> _Noted | None:
        noted = self._noted.get(tp)
        recent = noted and 0 <= self._generation() - noted.generation <= 1
        return noted if recent else None
