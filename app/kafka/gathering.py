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
"""The longest time that records may gather."""

BUSY = 1000
"""Records per second, routed and stored ones together, from which on they gather that long. At half
the rate they gather for half the time.
"""

SHORTEST_FETCH = 0.005
"""The least seconds that a fetch which leaves a partition out waits for other records. So nothing
gathers for less: at 50 records a second, each record would cost one more fetch, which brings none.
"""

WINDOW = 0.5
"""Time constant of the rate in seconds: recent records weigh most."""


class Gathering:
    """How long to wait before a partition is fetched again.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._answered: dict[TP, float] = {}
        self._left_out: dict[TP, float] = {}
        self._rate = 0.0
        self._counted_at = clock()

    def answered(self, tp: TP) -> None:
        """Note that records of a partition have arrived."""
        self._answered[tp] = self._clock()

    def leave_out(self, tp: TP, seconds: float) -> None:
        """Ask for a partition again only after so long, whatever comes."""
        self._left_out[tp] = self._clock() + seconds

    def taken(self, records: int) -> None:
        """Count records that have been handed over."""
        self._rate = self._faded() + records / WINDOW

    def seconds_left(self, tps: Container[TP]) -> dict[TP, float]:
        """The partitions not to fetch yet, with the seconds that their records still gather."""
        now = self._clock()
        self._left_out = {
            tp: until for tp, until in self._left_out.items() if until > now and tp in tps
        }
        left_out = {tp: until - now for tp, until in self._left_out.items()}
        whole = MOST_SECONDS * min(1.0, self._faded() / BUSY)
        if whole < SHORTEST_FETCH:
            self._answered.clear()
            return left_out
        self._answered = {
            tp: at for tp, at in self._answered.items() if at + whole > now and tp in tps
        }
        return {tp: at + whole - now for tp, at in self._answered.items()} | left_out

    def _faded(self) -> float:
        now = self._clock()
        self._rate *= exp((self._counted_at - now) / WINDOW)
        self._counted_at = now
        return self._rate
