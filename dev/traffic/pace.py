"""Limits a sender to a rate."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Allows `rate` per second on average; delays are caught up.

    Args:
        rate: per second; None: as fast as possible.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        rate: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError("the rate must be above 0")
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._started = clock()
        self._let_through = 0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self._started

    async def wait(self, count: int = 1) -> None:
        """Wait until `count` more may be sent."""
        if self._rate is not None:
            early = self._let_through / self._rate - self.seconds
            if early > 0:
                await self._sleep(early)
        self._let_through += count
