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

MIB = 1024 * 1024

ASKED_FOR = 8
"""A fetch is worth its request when at least one in this many parts of the budget is free."""


TAKEN_SOON = 0.005
"""Seconds in which what has arrived is usually taken: for so long the next fetch waits for it."""

IDLE_LOOK = 2.0
"""Seconds between two looks for something to ask while a fetch is under way and nothing waits:
longer than a fetch takes, whose answer is what has the fetcher look again. So has a seek."""


class Shelf(Protocol):
    """Where what was fetched waits, by partition."""

    arrived_at: float
    """Monotonic seconds at which something came last."""

    @property
    def gathering(self) -> Gathering:
        """What is left out, so that a fetch brings more of it."""

    def __iter__(self) -> Iterator[Any]:
        """The partitions that have something waiting."""

    def waiting(self) -> int:
        """Bytes, as they stand in Kafka."""

    def want(self, partitions: Iterable[TP], now: float) -> None:
        """Note that somebody asks for records of these; `now` is monotonic seconds."""

    def set_aside(self) -> None:
        """Let go of what is unwanted; it is fetched again when somebody asks for it."""

    def unwanted(self, tp: TP) -> bool:
        """Whether nobody has asked for records of a partition in a while."""


def keep_within(fetcher: Any, shelf: Shelf, budget: int) -> None:
    """Have an aiokafka `Fetcher` fetch no more than fits.

    Args:
        fetcher: of a consumer that has just been started.
        shelf: see there.
        budget: bytes. A batch that is larger is fetched when nothing else waits: Kafka answers
            with one batch at least.
    """
    fetcher._get_actions_per_node = Within(fetcher, shelf, budget).actions  # noqa: SLF001


class Within:
    """`Fetcher._get_actions_per_node`, which decides what each broker is asked for."""

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
        """What aiokafka would ask for, with what is left of the budget as the maximum."""
        if assignment is not self._assignment:
            # The tables' changelogs are read first of all, and nobody has asked for them yet.
            self._assignment = assignment
            self._shelf.want([TP(*tp) for tp in assignment.tps], self._clock())
        if self._left() < self._budget // ASKED_FOR:
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
        """How long the next fetch may wait for records: as what it leaves out has waited so far.

        So what is taken soon is asked for again soon, and what stays costs few fetches. And no
        longer than until others have gathered, which is in so many seconds.
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
    """An assignment without the partitions that nobody wants to read now; see `Shelf`.

    One whose position is not known yet stays: its reader is still waiting for the position.
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
