"""Adaptive concurrency and rate limits for database requests: pure rules.

Times are seconds of any one monotonic clock.
"""

STEADY = 1.5
"""Latency, relative to what is expected, up to which the limit rises."""

STRAINED = 3.0
"""Latency, relative to what is expected, from which the limit falls."""

UNREMARKABLE = 0.1
"""Seconds; no request that is faster lowers the limit, however fast the best one was."""

FORGETTING = 0.02
"""How far the best latency moves towards a slower one, per answer: old records stop counting."""


class ConcurrencyLimit:
    """How many requests may be under way, found by trying.

    As TCP does it: doubled when a whole round of requests went well, until the database was first
    overloaded, from then on up by one for such a round; down by half when it is overloaded, at most
    once per round. Well means a latency near the best one seen for requests of that size, times the
    requests that were under way: a database that works on them one after the other is busy, not
    overloaded.

    Args:
        maximum: Never more than these.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._limit = 1.0
        self._starting = True
        self._best: dict[tuple[int, int], float] = {}
        self._lowered_at = float("-inf")

    @property
    def current(self) -> int:
        """Requests that may be under way now, from 1 to the maximum."""
        return int(self._limit)

    def answered(
        self, *, started: float, ended: float, in_flight: int, documents: int, size: int
    ) -> None:
        """Take note of a request that succeeded.

        Requests are compared with each other whose documents and bytes are within a factor of two:
        one document of megabytes takes long, and says nothing of an overload.

        Args:
            started: When it was sent.
            ended: When its answer was complete.
            in_flight: Requests under way when it was sent, itself included.
            documents: That it carried.
            size: Their bytes.
        """
        latency = ended - started
        kind = documents.bit_length(), size.bit_length()
        best = self._best.get(kind, latency)
        expected = best * in_flight
        if latency > max(STRAINED * expected, UNREMARKABLE):
            self.overloaded(started=started, now=ended)
        elif latency <= STEADY * expected and in_flight >= self.current:
            step = 1.0 if self._starting else 1.0 / self._limit
            self._limit = min(float(self.maximum), self._limit + step)
        self._best[kind] = min(latency, best + (latency - best) * FORGETTING)

    def overloaded(self, *, started: float, now: float) -> None:
        """Take note of a request that was refused, timed out, or took far too long.

        Requests sent before the limit was last lowered say nothing new and are ignored.
        """
        self._starting = False
        if started >= self._lowered_at:
            self._limit = max(1.0, self._limit / 2.0)
            self._lowered_at = now


class RateLimit:
    """A hard limit in documents per second: a token bucket that holds one second's worth.

    Args:
        per_second: Documents per second; 0 means no limit.
    """

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._tokens = per_second
        self._counted_at = float("-inf")

    def reserve(self, documents: int, now: float) -> float:
        """Take documents out of the budget; returns the seconds to wait before sending them.

        A request larger than a second's worth waits until its whole excess has been earned.
        """
        if not self.per_second:
            return 0.0
        earned = (now - self._counted_at) * self.per_second
        self._tokens = min(self.per_second, self._tokens + earned) - documents
        self._counted_at = now
        return max(0.0, -self._tokens / self.per_second)
