"""A half-open circuit: while nothing passes, one request at a time tries, with back-off.

The others wait in a queue, and a request that fails goes to its end: a request that would pass is
not stuck behind those that cannot, and a database in trouble is not asked more often because more
requests are waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.couchdb.backoff import Backoff
from app.couchdb.errors import DatabaseError, Misconfigured

PASSING = Backoff(first=0.1, longest=5.0)
"""For transient failures."""

OPERATOR = Backoff(first=1.0, longest=30.0)
"""For failures that need an operator."""

LOCKED = Backoff(first=120.0, longest=300.0)
"""After wrong credentials: after five of them from one address, CouchDB 3.4 locks the user out
there, whoever else uses that user.
"""

CREDENTIAL_ATTEMPTS = 2
"""Attempts with wrong credentials before further ones are minutes apart: few enough for two workers
on one machine to stay below CouchDB's five.
"""

LOOK_SECONDS = 5.0
"""Seconds between checks for new credentials."""


class Circuit:
    """Lets requests through one at a time while nothing passes.

    Args:
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
        random: returns a number from 0 to 1, for the jitter.
        new_credentials: reads the credentials again; returns whether they have changed.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        new_credentials: Callable[[], bool],
    ) -> None:
        self.failing = False
        """Whether the database failed last."""
        self.waiting = 0
        """How many requests are waiting in line."""
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._new_credentials = new_credentials
        self._line = asyncio.Lock()
        self._failures = 0
        self._wrong_credentials = 0
        self._last_wrong: DatabaseError | None = None
        self._failed_at = float("-inf")
        self._pause = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until this request may try; returns at once while the circuit is closed."""
        if not self.failing:
            yield
            return
        self.waiting += 1
        try:
            await self._line.acquire()
            try:
                await self._wait()
            except BaseException:
                self._line.release()
                raise
        finally:
            self.waiting -= 1
        if not self.failing:
            # The circuit was closed while this one was waiting, so nobody has to take turns.
            self._line.release()
            yield
            return
        try:
            yield
        finally:
            self._line.release()

    async def _wait(self) -> None:
        while self.failing and (left := self._failed_at + self._pause - self._clock()) > 0:
            if not self._wrong_credentials:
                await self._sleep(left)
            elif self._new_credentials():
                self._wrong_credentials = 0
                return
            else:
                await self._sleep(min(left, LOOK_SECONDS))

    def passed(self) -> None:
        """Close the circuit, because a request has passed."""
        self.failing = False
        self._failures = self._wrong_credentials = 0

    def failed(self, error: DatabaseError, started: float) -> None:
        """Note that a request has failed while no other passes.

        Args:
            error: what happened. Requests that fail by the same wrong attempt to log in share one
                error, which counts once.
            started: when the failed request began; requests that were under way together count
                once.
        """
        wrong = error.counts_against_account
        if wrong and error is self._last_wrong and self.failing:
            return
        self._last_wrong = error if wrong else None
        self._wrong_credentials = self._wrong_credentials + 1 if wrong else 0
        if self.failing and started < self._failed_at and not wrong:
            return
        self.failing = True
        self._failures += 1
        self._failed_at = self._clock()
        self._pause = self._backoff(error).delay(self._attempt(), self._random)

    def retry_now(self) -> None:
        """Try at once, because the writer itself has removed the cause."""
        self._pause = 0.0

    def _backoff(self, error: DatabaseError) -> Backoff:
        if self._wrong_credentials >= CREDENTIAL_ATTEMPTS:
            return LOCKED
        return OPERATOR if isinstance(error, Misconfigured) else PASSING

    def _attempt(self) -> int:
        if self._wrong_credentials >= CREDENTIAL_ATTEMPTS:
            return self._wrong_credentials - CREDENTIAL_ATTEMPTS + 1
        return self._failures
