"""Admission control: request slots, document rate, and the pauses of `Retry-After`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.couchdb.pace import ConcurrencyLimit, RateLimit

PACED = "waiting for the pace that PERSISTER_DOCUMENTS_PER_SECOND sets"
PAUSED = "waiting, because the database has asked for a pause (Retry-After)"


@dataclass(frozen=True, slots=True)
class Admission:
    """A request's permission to be sent.

    Args:
        started: when it was admitted, by the gate's clock.
        in_flight: the number of requests under way, itself included.
    """

    started: float
    in_flight: int


class Gate:
    """Admits requests as the limits allow.

    Args:
        limit: how many at a time; may change at any time.
        rate: how many documents per second.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        limit: ConcurrencyLimit,
        rate: RateLimit,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.in_flight = 0
        """How many requests were admitted and are not answered yet, without those beside."""
        self._places = 0
        self._large = 0
        self._paused = 0
        self._paced = 0
        self._limit = limit
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._closed_until = float("-inf")
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def waits(self) -> str:
        """What requests wait for before they are sent; empty while any is under way."""
        if self.in_flight:
            return ""
        if self._paused:
            return PAUSED
        return PACED if self._paced else ""

    @asynccontextmanager
    async def admit(
        self, documents: int, *, beside: bool = False, large: bool = False
    ) -> AsyncIterator[Admission]:
        """Wait for the request's turn, then hold its place until the block is left.

        Args:
            documents: how many documents the request writes, which count against the rate.
            beside: whether to admit it without taking a slot.
            large: whether it takes long because of its size. While such requests have all slots,
                one other request is admitted in addition.
        """
        if not beside:
            await self._wait_for_place(large=large)
        self._places += not beside
        self._large += large and not beside
        try:
            await self._wait_for_opening()
            await self._wait_for_rate(documents)
            self.in_flight += not beside
            try:
                yield Admission(self._clock(), self.in_flight)
            finally:
                self.in_flight -= not beside
        finally:
            self._places -= not beside
            self._large -= large and not beside
            self._wake()

    def close_for(self, seconds: float) -> None:
        """Admit nothing for some seconds, because the database asked for a pause."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)

    async def _wait_for_opening(self) -> None:
        while (left := self._closed_until - self._clock()) > 0:
            self._paused += 1
            try:
                await self._sleep(left)
            finally:
                self._paused -= 1

    async def _wait_for_rate(self, documents: int) -> None:
        if (wait := self._rate.reserve(documents, self._clock())) > 0:
            self._paced += 1
            try:
                await self._sleep(wait)
            finally:
                self._paced -= 1

    async def _wait_for_place(self, *, large: bool) -> None:
        while self._places >= self._limit.current and (large or self._places > self._large):
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for place in waiting:
            if not place.done():
                place.set_result(None)
