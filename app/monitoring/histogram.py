"""A histogram in Prometheus' sense, cheap enough for the hot path."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

LATENCIES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""In seconds, from the duration of a request to that of an outage."""

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

REQUEST_DOCUMENTS = (1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)

REQUEST_BYTES = (1e3, 1e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 1e8)


class Histogram:
    """Counts of values by upper bound, and their sum.

    Args:
        bounds: ascending upper bounds; values above the last one are counted, too.
    """

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value `times` times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of values in each bucket, the last of which has no upper bound."""
        return tuple(self._counts)

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Upper bounds as Prometheus writes them, each with the number of values up to it."""
        bounds = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]
        return zip(bounds, map(float, accumulate(self._counts)), strict=True)


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The value that a share of all values does not exceed, as Prometheus estimates it.

    Assumes that values are spread evenly within a bucket; the last bound stands for any value above
    it.

    Args:
        bounds: the upper bounds of the buckets, ascending.
        counts: the number of values in each bucket, and above the last bound.
        share: from 0 to 1.

    Returns:
        None if there are no values.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, passed, lower = share * total, 0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and passed + count >= wanted:
            return lower + (bound - lower) * (wanted - passed) / count
        passed, lower = passed + count, bound
    return bounds[-1]
