"""Clocks that a test sets, and time that passes only when someone sleeps."""

import asyncio
import time
from collections.abc import Callable


class Clock:
    """A clock that stands until a test moves `now` on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Time:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


class Steps:
    """Sleeps that end when a test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._turn: asyncio.Future[None] | None = None

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._turn = asyncio.get_running_loop().create_future()
        await self._turn

    async def step(self) -> None:
        """End the sleep that is under way, and wait until there is another one."""
        await until(lambda: self._turn is not None and not self._turn.done())
        turn = self._turn
        assert turn is not None
        turn.set_result(None)
        await until(lambda: self._turn is not turn)


class TimeLapse:
    """Real time, so many times as fast: for what many do side by side.

    Args:
        times: How much faster.
    """

    def __init__(self, times: float) -> None:
        self._times = times

    def clock(self) -> float:
        return time.monotonic() * self._times

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._times)


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - any condition, not one that has an event
            await asyncio.sleep(0)
