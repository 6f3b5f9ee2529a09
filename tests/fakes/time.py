"""Clocks that a test sets, and time that passes only when someone sleeps."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar, TypeVarTuple, Unpack

_Got = TypeVar("_Got")
_Given = TypeVarTuple("_Given")

MOMENT = 0.002
"""Seconds of real time."""


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

    async def end(self) -> None:
        """End the sleep that is under way, as soon as there is one."""
        await until(lambda: self._turn is not None and not self._turn.done())
        assert self._turn is not None
        self._turn.set_result(None)

    async def step(self) -> None:
        """End the sleep that is under way, and wait until there is another one."""
        await self.end()
        turn = self._turn
        await until(lambda: self._turn is not turn)


class LoopTime:
    """The time of the running loop: for what many do side by side, with a `VirtualTimeLoop`."""

    def clock(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time moves on when nothing can happen before, and then at once.

    Sleeps and time-outs, of aiohttp as well, come in their order and take no time, however busy the
    machine is. Sockets must lead to this process: what another one does takes time of its own.
    """

    def __init__(self) -> None:
        self._passed = 0.0
        self._in_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._passed

    def pass_time(self, seconds: float) -> None:
        self._passed += seconds

    @property
    def waits_for_threads(self) -> bool:
        return self._in_threads > 0

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[_Given]], _Got],
        *args: *_Given,
    ) -> asyncio.Future[_Got]:
        running = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        running.add_done_callback(self._ended)
        return running

    def _ended(self, _: object) -> None:
        self._in_threads -= 1


class _Selector(selectors.DefaultSelector):
    """Has time pass instead of waiting."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._loop.waits_for_threads:
            return super().select(None)
        # What was sent to a socket of this machine may take a moment until it is there.
        ready = super().select(MOMENT)
        if not ready:
            self._loop.pass_time(timeout)
        return ready


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until a condition holds: for milliseconds, but on a busy machine."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - any condition, not one that has an event
            await asyncio.sleep(0)
