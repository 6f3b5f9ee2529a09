"""Bounds what is fetched ahead by one budget for all partitions.

aiokafka 0.14 bounds what one answer brings of one partition and, for each broker, of all; but it
asks for more as soon as any partition has nothing waiting, so that each of them can have its own
maximum in memory: a hundred topics take ten times what ten take. Kafka's own client for Java does
the same, and librdkafka has `queued.max.messages.kbytes` for it.

Here everything that waits counts against one budget, and an answer may bring what is left of it.

Nor does aiokafka bound what a record may wait for a fetch that does not ask for it: there is one at
a time for each broker, it asks for those partitions of which nothing waits here, and an idle one
takes a second and a half to return. Here it is short while something else may soon be taken.

Where many records come, a partition is left out until some have gathered; see
`app.kafka.gathering`.

And it looks for something to ask five times a second, even while its brokers are asked already and
nothing waits: a quarter of what an idle worker costs. Here it waits for the answer then.

Not reported.

- Symptom: memory grows with the number of partitions: the same gigabyte took 338 MB on 10 topics
  and 896 MB on 100.
- Reproduction: a consumer that calls `getmany` seldom, on a hundred topics with a backlog each.
- Mend: an option for the sum of what waits, as librdkafka's `queued.max.messages.kbytes`.
"""

import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, Protocol

from faust.types import TP

from app.kafka.gathering import SHORTEST_FETCH, Gathering

ASKED_FOR = 8
"""A fetch is sent only if at least the budget divided by this is free."""

TAKEN_SOON = 0.005
"""Seconds within which records that have arrived are usually taken; the next fetch waits for that
as long.
"""

IDLE_LOOK = 2.0
"""Seconds until the fetcher looks again for something to fetch, while a fetch is under way and
nothing waits here. Longer than a fetch takes, because its answer wakes the fetcher anyway, as does
a seek.
"""


class Shelf(Protocol):
    """Holds fetched records by partition until they are taken."""

    arrived_at: float
    """When records last arrived (monotonic seconds)."""

    @property
    def gathering(self) -> Gathering:
        """Which partitions are left out of fetches, so that more of their records gather."""

    def __iter__(self) -> Iterator[Any]:
        """The partitions whose records are waiting."""

    def waiting(self) -> int:
        """How many bytes are waiting, as they are in Kafka."""

    def want(self, partitions: Iterable[TP], now: float) -> None:
        """Note that records of these partitions are wanted; `now` is monotonic seconds."""

    def set_aside(self) -> None:
        """Drop records that nobody wants; they are fetched again when somebody does."""

    def unwanted(self, tp: TP) -> bool:
        """Whether nobody has asked for records of a partition in a while."""


def keep_within(fetcher: Any, shelf: Shelf, budget: int) -> None:
    """Keep an aiokafka `Fetcher` within a budget.

    Args:
        fetcher: the fetcher of a consumer that has just been started.
        shelf: where the fetcher keeps fetched records.
        budget: in bytes. A larger batch is fetched while nothing else waits, because Kafka answers
            with at least one batch.
    """
    fetcher._get_actions_per_node = Within(fetcher, shelf, budget).actions  # noqa: SLF001


class Within:
    """Replaces `Fetcher._get_actions_per_node`, which decides what to fetch from each broker."""

    def __init__(
        self,
        fetcher: Any,
        shelf: Shelf,
        budget: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._fetcher = fetcher
        self._shelf = shelf
        self._budget = budget
        self._actions = fetcher._get_actions_per_node  # noqa: SLF001
        self._asked: dict[Any, int] = {}
        self._assignment: Any = None
        self._idle_wait_ms: int = fetcher._fetch_max_wait_ms  # noqa: SLF001
        fetcher._prefetch_backoff = TAKEN_SOON  # noqa: SLF001

    def actions(self, assignment: Any) -> Any:
        """What aiokafka would fetch, with the rest of the budget as the maximum."""
        if assignment is not self._assignment:
            # All partitions are wanted at first: tables' changelogs are read before anybody asks.
            self._assignment = assignment
            self._shelf.want([TP(*tp) for tp in assignment.tps], self._clock())
        # Not if it is short only because of a fetch under way, which may have asked for all of it.
        if self._budget - self._shelf.waiting() < self._budget // ASKED_FOR:
            self._shelf.set_aside()
        left = self._left()
        share = left // max(1, len(self._fetcher._client.cluster.brokers()))  # noqa: SLF001
        self._fetcher._fetch_max_bytes = max(1, share)  # noqa: SLF001
        gathering = self._shelf.gathering.seconds_left(assignment.tps)
        due = min(gathering.values(), default=float("inf"))
        self._fetcher._fetch_max_wait_ms = self._wait_ms(due)  # noqa: SLF001
        wanted = _Wanted(assignment, self._shelf, gathering)
        fetches, resets, look, *others = self._actions(wanted)
        if left < self._budget // ASKED_FOR:
            fetches = []
        self._asked |= {node: share for node, _ in fetches}
        if (fetches or self._fetcher._in_flight) and not any(True for _ in self._shelf):  # noqa: SLF001
            look = max(look, IDLE_LOOK)
        return fetches, resets, min(look, due), *others

    def _wait_ms(self, due: float) -> int:
        """How long the next fetch may wait: as long as what it leaves out has been waiting here.

        Partitions whose records are taken soon are thus fetched again soon, and records that stay
        cost few fetches. It ends when other partitions have gathered, in `due` seconds.
        """
        longest = int(min(self._idle_wait_ms, max(due, SHORTEST_FETCH) * 1000))
        if all(self._shelf.unwanted(TP(*tp)) for tp in self._shelf):
            return longest
        waited = max(SHORTEST_FETCH, self._clock() - self._shelf.arrived_at)
        return min(int(waited * 1000), longest)

    def _left(self) -> int:
        under_way = self._fetcher._in_flight  # noqa: SLF001
        asked = sum(size for node, size in self._asked.items() if node in under_way)
        return self._budget - self._shelf.waiting() - asked


class _Wanted:
    """An assignment without the partitions that nobody wants now; see `Shelf`.

    Partitions without a position stay, because their readers are waiting for it.
    """

    def __init__(self, assignment: Any, shelf: Shelf, gathering: Container[TP]) -> None:
        self.state_value = assignment.state_value
        self.tps = [
            tp
            for tp in assignment.tps
            if not (
                (tp in gathering or shelf.unwanted(TP(*tp)))
                and self.state_value(tp).has_valid_position
            )
        ]
