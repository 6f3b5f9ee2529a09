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
        self._waiting: dict[asyncio.Future[None], bool] = {}
        """In the order in which they came; whether the request is large."""

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
            await self._take_place(large=large)
        try:
            await self._wait_for_opening()
            await self._wait_for_rate(documents)
            self.in_flight += not beside
            try:
                yield Admission(self._clock(), self.in_flight)
            finally:
                self.in_flight -= not beside
        finally:
            if not beside:
                self._leave_place(large=large)

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

    def _has_place(self, *, large: bool) -> bool:
        beside_large = not large and self._places == self._large
        return self._places < self._limit.current or beside_large

    async def _take_place(self, *, large: bool) -> None:
        if self._has_place(large=large):
            self._hold(large=large)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[place] = large
        try:
            await place
        except BaseException:
            if self._waiting.pop(place, None) is None:  # it was given a place
                self._leave_place(large=large)
            raise

    def _hold(self, *, large: bool) -> None:
        self._places += 1
        self._large += large

    def _leave_place(self, *, large: bool) -> None:
        self._places -= 1
        self._large -= large
        # Each is woken once, with its place: thousands may wait, at each of as many ends.
        while self._has_place(large=False):
            waiting = self._waiting.items()
            place = next((one for one, large in waiting if self._has_place(large=large)), None)
            if place is None:
                return
            self._hold(large=self._waiting.pop(place))
            if not place.done():  # a cancelled one gives it back
                place.set_result(None)
