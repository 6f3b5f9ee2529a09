"""How long to wait before the next attempt."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with jitter, so that workers do not all retry at once.

    Args:
        first: seconds before the second attempt.
        longest: the longest wait in seconds.
    """

    first: float
    longest: float

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after an attempt (the first is 1): half of it fixed, half random."""
        full = min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))
        return full * (0.5 + random() / 2.0)
