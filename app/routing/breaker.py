"""Pauses a topic when most of its records are rejected.

Either something other than OpenWhisk writes to the topic, or OpenWhisk writes a form that is not
understood yet; emptying the topic into the dead letters would help nobody. While a topic's breaker
is open, nothing is fetched from it and the other topics go on. After a cool-down the breaker is
half-open: it lets one fetch through, whose outcome decides.

Pure: it is told the outcome of each chunk and asked before each fetch.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple, Self

from app.settings import BreakerSettings
from models.reasons import RejectReason

COUNTED = frozenset(
    {
        RejectReason.NOT_JSON,
        RejectReason.NOT_A_MESSAGE,
        RejectReason.INVALID_RECORD,
        RejectReason.UNREADABLE,
        RejectReason.UNFORESEEN,
    }
)
"""Reasons that suggest a topic full of wrong records; others concern single records."""

_BUCKETS = 60
"""How many counters the window is divided into, so that memory is bounded."""


class Change(Enum):
    """What an observation did."""

    OPENED = auto()
    CLOSED = auto()


class Open(NamedTuple):
    """An open breaker."""

    since: float
    """When the topic was first held, in seconds."""

    until: float
    """When one fetch is let through, in seconds."""

    why: str
    """The counts and an example, never a record's contents."""

    def shifted(self, seconds: float) -> Self:
        """The same by a clock that is so many seconds ahead."""
        return self._replace(since=self.since + seconds, until=self.until + seconds)


class _Bucket(NamedTuple):
    at: float
    records: int
    rejected: int


class Breaker:
    """The breaker of one topic.

    Args:
        settings: when it opens, and for how long.
        reach: how many seconds the window may reach back for the records that the ratio needs; by
            default, no further than the settings say.
    """

    def __init__(self, settings: BreakerSettings, reach: float = 0.0) -> None:
        self._settings = settings
        self._reach = max(settings.window, reach)
        self._window: deque[_Bucket] = deque()
        self._in_a_row = 0
        self.open: Open | None = None
        """In monotonic seconds: a wall clock that is set back would prolong the pause."""

    def holds(self, now: float) -> bool:
        """Whether nothing may be fetched now."""
        return self.open is not None and now < self.open.until

    def observe(self, now: float, records: int, rejected: int, example: str) -> Change | None:
        """Count a finished chunk.

        Args:
            now: monotonic seconds.
            records: how many records the chunk has.
            rejected: how many of them were rejected for a reason in `COUNTED`.
            example: a rejected record's reason and detail.
        """
        if self.holds(now):
            # It was fetched before the breaker opened, and says nothing about what comes after.
            return None
        if self.open:
            return self._try_again(now, records, rejected, example)
        self._count(now, records, rejected)
        why = self._too_many()
        if why is None:
            return None
        self._open(now, f"{why}, for example: {example}")
        return Change.OPENED

    def _try_again(self, now: float, records: int, rejected: int, example: str) -> Change:
        if rejected >= records * self._settings.ratio:
            self._open(now, f"{rejected} of {records} records were rejected again: {example}")
            return Change.OPENED
        self.open = None
        return Change.CLOSED

    def _open(self, now: float, why: str) -> None:
        since = self.open.since if self.open else now
        self.open = Open(since, now + self._settings.cooldown, why)
        self._window.clear()
        self._in_a_row = 0

    def _count(self, now: float, records: int, rejected: int) -> None:
        settings, window = self._settings, self._window
        while window and self._too_old(window[0], now):
            window.popleft()
        if window and now - window[-1].at < settings.window / _BUCKETS:
            last = window.pop()
            window.append(_Bucket(last.at, last.records + records, last.rejected + rejected))
        else:
            window.append(_Bucket(now, records, rejected))
        self._in_a_row = self._in_a_row + rejected if rejected == records else 0

    def _too_old(self, bucket: _Bucket, now: float) -> bool:
        """Whether the oldest bucket leaves the window."""
        if bucket.at > now - self._settings.window:
            return False
        others = sum(one.records for one in self._window) - bucket.records
        return others >= self._settings.minimum or bucket.at <= now - self._reach

    def _too_many(self) -> str | None:
        """Why the breaker should open, or None."""
        settings = self._settings
        if settings.consecutive and self._in_a_row >= settings.consecutive:
            return f"{self._in_a_row} records in a row were rejected"
        records = sum(bucket.records for bucket in self._window)
        rejected = sum(bucket.rejected for bucket in self._window)
        enough = 0 < settings.minimum <= records
        if enough and rejected >= records * settings.ratio:
            return f"{rejected} of the last {records} records were rejected"
        return None


class Breakers:
    """A breaker for each topic.

    Args:
        settings: when the breakers open, and for how long.
        clock: monotonic seconds.
        wall: epoch seconds, for people.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._breakers: defaultdict[str, Breaker] = defaultdict(lambda: Breaker(settings))

    def observe(self, topic: str, records: int, rejected: int, example: str = "") -> Change | None:
        """Count a finished chunk of `topic`; see `Breaker.observe`."""
        return self._breakers[topic].observe(self._clock(), records, rejected, example)

    def holds(self, topic: str) -> bool:
        """Whether nothing of `topic` may be fetched now."""
        breaker = self._breakers.get(topic)
        return breaker is not None and breaker.holds(self._clock())

    def why(self, topic: str) -> str:
        """Why the breaker of `topic` is open; empty while it is not."""
        found = self._breakers[topic].open
        return found.why if found else ""

    def topics(self) -> dict[str, Open | None]:
        """The open breaker, in epoch seconds, of each topic that was ever counted, or None."""
        ahead = self._wall() - self._clock()
        return {
            topic: breaker.open and breaker.open.shifted(ahead)
            for topic, breaker in self._breakers.items()
        }
