"""Limits attempts with single documents: a few at a time, and more only when time runs out."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.couchdb.evidence import AT_LIMIT

FEWEST = 4
"""Usual number of concurrent attempts: few, because one can keep a core of the database busy for
seconds.
"""

MOST = 16
"""Highest number, when many slow ones are waiting: their commits wait as well, but more would harm
the other requests.
"""

RECENT = 0.2
"""Weight of the last attempt in the expected duration."""

LONGEST = 15.0
"""Longest duration in seconds to count; anything longer may be an outage."""


class Turns:
    """Lets documents under diagnosis take turns, first come, first served.

    With `n` documents and attempts of `s` seconds, each has had the `AT_LIMIT` attempts that decide
    at the time limit before the limit is reached, or after `AT_LIMIT * n * s / MOST` seconds.

    Args:
        limit: time limit of a diagnosis in seconds.
        waiting: returns how many documents are under diagnosis.
    """

    def __init__(self, limit: float, waiting: Callable[[], int]) -> None:
        self._limit = limit
        self._waiting = waiting
        self._taken = 0
        self._seconds: float | None = None
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def places(self) -> int:
        """How many attempts may be under way."""
        needed = AT_LIMIT * self._waiting() * (self._seconds or 0.0) / self._limit
        return min(MOST, max(FEWEST, math.ceil(needed)))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it until the block is left."""
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
        """Record the duration of an attempt."""
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
        """Give places to those who came first, so that no newcomer gets ahead of them."""
        while self._line and self._taken < self.places:
            place = self._line.popleft()
            if not place.done():
                self._taken += 1
                place.set_result(None)
