"""Lets records gather at the broker while many come, so that a fetch brings several of them.

A fetch returns with the first record that is there. At a few hundred records a second, nearly each
of them would then travel in a chunk of its own: fetched, routed, sent, fetched, looked up, written,
remembered and committed. That takes milliseconds of CPU for a chunk and only microseconds for each
record in it, and CouchDB may be waiting for the same processor (`docs/performance.md` has figures).

So a partition is asked for again only some time after its last answer, as Nagle's algorithm holds
back small packets: at once while records come one by one, and later the more of them come.
"""

from collections.abc import Callable, Container
from math import exp
from time import monotonic

from faust.types import TP

MOST_SECONDS = 0.02
"""How long records may gather, at most."""

BUSY = 1000
"""Records taken in a second, routed and stored ones together, from which they gather so long: half
as many gather for half the time."""

SHORTEST_FETCH = 0.005
"""Seconds that a fetch which leaves something out waits for other records, at least. So nothing
gathers for less: at 50 records a second, each would take a fetch more, which brings nothing."""

WINDOW = 0.5
"""Seconds over which records are counted; those of the last ones weigh most."""


class Gathering:
    """How long to wait until a partition is asked for again.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._answered: dict[TP, float] = {}
        self._rate = 0.0
        self._counted_at = clock()

    def answered(self, tp: TP) -> None:
        """Note that records of a partition have come."""
        self._answered[tp] = self._clock()

    def taken(self, records: int) -> None:
        """Note that so many records have been handed over."""
        self._rate = self._faded() + records / WINDOW

    def seconds_left(self, tps: Container[TP]) -> dict[TP, float]:
        """For how long those of these partitions whose records still gather should be left out."""
        now = self._clock()
        whole = MOST_SECONDS * min(1.0, self._faded() / BUSY)
        if whole < SHORTEST_FETCH:
            self._answered.clear()
            return {}
        self._answered = {
            tp: at for tp, at in self._answered.items() if at + whole > now and tp in tps
        }
        return {tp: at + whole - now for tp, at in self._answered.items()}

    def _faded(self) -> float:
        now = self._clock()
        self._rate *= exp((self._counted_at - now) / WINDOW)
        self._counted_at = now
        return self._rate
