"""Adaptive concurrency and rate limits for database requests: pure rules.

Times are seconds of any one monotonic clock.
"""

STEADY = 1.5
"""The limit rises up to this latency, relative to the expected one."""

STRAINED = 3.0
"""The limit falls above this latency, relative to the expected one."""

UNREMARKABLE = 0.1
"""Seconds. No faster request lowers the limit, however fast the best one was."""

FORGETTING = 0.02
"""Share by which the best latency moves towards a slower one per answer, so that old bests fade."""


class ConcurrencyLimit:
    """How many requests may be under way, found by trying.

    As TCP does it: doubled when a whole round of requests went well, until the database was first
    overloaded, from then on up by one for such a round; down by half when it is overloaded, at most
    once per round. Well means a latency near the best one seen for requests of that size, times the
    requests that were under way: a database that works on them one after the other is busy, not
    overloaded.

    Args:
        maximum: the highest limit.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._limit = 1.0
        self._starting = True
        self._best: dict[tuple[int, int], float] = {}
        self._lowered_at = float("-inf")

    @property
    def current(self) -> int:
        """How many requests may be under way now, from 1 to the maximum."""
        return int(self._limit)

    def answered(
        self, *, started: float, ended: float, in_flight: int, documents: int, size: int
    ) -> None:
        """Learn from a request that succeeded.

        A request is compared only with others whose documents and bytes are within a factor of two,
        because one document of megabytes takes long without any overload.

        Args:
            started: when it was sent.
            ended: when its answer was complete.
            in_flight: the number of requests under way when it was sent, itself included.
            documents: how many documents it had.
            size: their size in bytes.
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
        """Learn from a request that was refused, timed out, or took far too long.

        Requests that were sent before the limit was last lowered are ignored.
        """
        self._starting = False
        if started >= self._lowered_at:
            self._limit = max(1.0, self._limit / 2.0)
            self._lowered_at = now


class RateLimit:
    """A hard limit in documents per second: a token bucket of one second's worth.

    It holds at least one document, so that the first one need not wait, however low the rate.

    Args:
        per_second: documents per second; 0 for no limit.
    """

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._most = self._tokens = max(1.0, per_second)
        self._counted_at = float("-inf")

    def reserve(self, documents: int, now: float) -> float:
        """Take documents from the budget; returns the seconds to wait before sending them.

        A request with more than a second's worth waits until the excess has been earned; one
        without documents never waits.
        """
        if not self.per_second or not documents:
            return 0.0
        earned = (now - self._counted_at) * self.per_second
        self._tokens = min(self._most, self._tokens + earned) - documents
        self._counted_at = now
        return max(0.0, -self._tokens / self.per_second)
