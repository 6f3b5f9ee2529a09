"""Tracks progress of every partition by the group's committed offsets."""

from collections.abc import Iterable, Mapping

Position = tuple[str, int]
"""Topic and partition."""

PATIENCE = 30.0
"""Seconds that a partition with lag may stand still, when nothing excuses it."""


class Movement:
    """Compares committed offsets with end offsets over time.

    Args:
        patience: as `PATIENCE`.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.committed: dict[Position, int] = {}
        self.ends: dict[Position, int] = {}
        self._patience = patience
        self._moved: dict[Position, float] = {}
        self._reported: set[Position] = set()
        self._anew: dict[str, set[Position]] = {}

    @property
    def lag(self) -> int:
        """The number of records not committed yet."""
        return sum(max(0, end - self.committed.get(at, 0)) for at, end in self.ends.items())

    def observe(
        self,
        now: float,
        committed: Mapping[Position, int],
        ends: Mapping[Position, int],
        *,
        excused: bool = False,
        starved: float = 0.0,
    ) -> list[str]:
        """Record one observation of all partitions; returns violations.

        Args:
            now: seconds, monotonic.
            committed: by the group; partitions without a commit are left out.
            ends: the offset that the next record of each partition will get.
            excused: whether a fault explains that nothing moves.
            starved: seconds since the last observation for which the machine explains it.
        """
        wrong = []
        self._moved = {at: min(now, moved + starved) for at, moved in self._moved.items()}
        for at, end in ends.items():
            before, offset = self.committed.get(at, 0), committed.get(at, 0)
            if offset < before and not self._may_go_back(at):
                wrong.append(
                    f"{name(at)}: the committed offset went back from {before} to {offset}"
                )
            if offset > before or offset >= end or excused or at not in self._moved:
                self._moved[at] = now
                self._reported.discard(at)
            elif now - self._moved[at] > self._patience and at not in self._reported:
                self._reported.add(at)
                wrong.append(
                    f"{name(at)}: nothing finished for {now - self._moved[at]:.0f} s, "
                    f"committed {offset} of {end}"
                )
        self.committed, self.ends = dict(committed), dict(ends)
        return wrong

    def begins_anew(self, topics: Iterable[str]) -> None:
        """Accept that what is committed of these topics goes back, once in each partition."""
        self._anew |= {topic: set() for topic in topics}

    def _may_go_back(self, at: Position) -> bool:
        gone_back = self._anew.get(at[0])
        if gone_back is None or at in gone_back:
            return False
        gone_back.add(at)
        return True

    def stands(self, now: float) -> dict[Position, float]:
        """For how many seconds each partition with something unread has not moved."""
        return {
            at: now - self._moved.get(at, now)
            for at, end in self.ends.items()
            if self.committed.get(at, 0) < end
        }

    def standing(self, mark: Mapping[Position, int], topics: Iterable[str] = ()) -> list[Position]:
        """The partitions (of these topics, or all) that have lag and have made no progress since.

        Args:
            mark: what was committed then.
            topics: to look at; all without.
        """
        wanted = set(topics)
        return [
            at
            for at, end in self.ends.items()
            if (not wanted or at[0] in wanted)
            and self.committed.get(at, 0) < end
            and self.committed.get(at, 0) <= mark.get(at, 0)
        ]


def name(at: Position) -> str:
    """For people."""
    return f"{at[0]}/{at[1]}"
