"""Rates and latencies, from counts that only grow. Pure."""

from collections import deque
from typing import NamedTuple

from app.monitoring.group.snapshot import Counts, Delay, Rates
from app.monitoring.histogram import Histogram, quantile

WINDOW = 12
"""How many moments latencies are computed over: a minute."""


class Moment(NamedTuple):
    """The counts of a worker at one moment."""

    at: float
    """In monotonic seconds."""
    counts: Counts
    delays: tuple[int, ...]
    """The histogram's counts by bucket."""


class Meter:
    """Computes rates and latencies by comparing moments.

    Args:
        delays: the histogram whose counts the moments have.
    """

    def __init__(self, delays: Histogram) -> None:
        self._bounds = delays.bounds
        self._moments: deque[Moment] = deque(maxlen=WINDOW + 1)

    def look(self, moment: Moment) -> tuple[Rates, Delay | None]:
        """The rates since the last moment, and the delays of the last minute; None without any."""
        before = self._moments[-1] if self._moments else moment
        self._moments.append(moment)
        return _rates(before, moment), self._delay(self._moments[0], moment)

    def _delay(self, first: Moment, last: Moment) -> Delay | None:
        counts = [after - before for before, after in zip(first.delays, last.delays, strict=True)]
        half, most = (quantile(self._bounds, counts, share) for share in (0.5, 0.99))
        return None if half is None or most is None else Delay(half, most)


def _rates(before: Moment, after: Moment) -> Rates:
    seconds = after.at - before.at
    if seconds <= 0:
        return Rates()
    first, last = before.counts, after.counts
    return Rates(
        read=(last.read - first.read) / seconds,
        skipped=(last.skipped - first.skipped) / seconds,
        stored=(last.stored - first.stored) / seconds,
        duplicates=(last.duplicates - first.duplicates) / seconds,
        dead_letters=(last.dead_letters - first.dead_letters) / seconds,
    )
