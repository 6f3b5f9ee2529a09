"""Limits attempts with single documents: a few at a time, and more only when time runs out."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.couchdb.evidence import AT_LIMIT

FEWEST = 4
"""Concurrent attempts: few, since one can keep a core of the database busy for seconds."""

MOST = 16
"""The same where many slow ones wait: their commits wait as well, and more would harm the rest."""

RECENT = 0.2
"""Weight of the last attempt in what one is expected to take."""

LONGEST = 15.0
"""Seconds that an attempt counts for at most: the rest may be an outage."""


class Turns:
    """Gives documents under diagnosis their turns, first come, first served.

    With `n` of them and attempts of `s` seconds, each has had the attempts that are enough at the
    limit of a diagnosis after `AT_LIMIT * n * s / MOST` seconds, or before the limit.

    Args:
        limit: Seconds of a diagnosis.
        waiting: How many documents are under diagnosis.
    """

    def __init__(self, limit: float, waiting: Callable[[], int]) -> None:
        self._limit = limit
        self._waiting = waiting
        self._taken = 0
        self._seconds: float | None = None
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def places(self) -> int:
        """Attempts that may be under way."""
        needed = AT_LIMIT * self._waiting() * (self._seconds or 0.0) / self._limit
        return min(MOST, max(FEWEST, math.ceil(needed)))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and keep it until the block is left."""
        if self._line or self._taken >= self.places:
            await self._stand_in_line()
        else:
            self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._wake()

    def took(self, seconds: float) -> None:
        """Take note of what an attempt took."""
        seconds = min(seconds, LONGEST)
        before = seconds if self._seconds is None else self._seconds
        self._seconds = before + (seconds - before) * RECENT

    async def _stand_in_line(self) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._taken -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        """Hand places to those who came first: nobody who comes now is faster."""
        while self._line and self._taken < self.places:
            place = self._line.popleft()
            if not place.done():
                self._taken += 1
                place.set_result(None)
