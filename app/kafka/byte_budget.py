"""Bounds the bytes in flight."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteBudget:
    """Bounds the bytes in flight.

    Waiters are served in order. Something larger than the limit is admitted while nothing else is
    in flight.

    Args:
        limit: the most bytes in flight at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    async def acquire(self, size: int) -> None:
        """Wait until `size` more bytes fit, and count them."""
        if not self._waiters and self._fits(size):
            self.in_flight += size
            return
        waiter = asyncio.get_running_loop().create_future()
        entry = (waiter, size)
        self._waiters.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(size)
            elif entry in self._waiters:
                self._waiters.remove(entry)
                self._admit()
            raise

    def release(self, size: int) -> None:
        """Give back `size` bytes."""
        self.in_flight -= size
        self._admit()

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes for as long as the block runs."""
        await self.acquire(size)
        try:
            yield
        finally:
            self.release(size)

    def _fits(self, size: int) -> bool:
        return self.in_flight == 0 or self.in_flight + size <= self.limit

    def _admit(self) -> None:
        while self._waiters and self._fits(self._waiters[0][1]):
            waiter, size = self._waiters.popleft()
            if not waiter.done():
                self.in_flight += size
                waiter.set_result(None)
