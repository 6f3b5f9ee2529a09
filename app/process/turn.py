"""Lets other tasks run in between, where something takes long in the event loop.

Of those that take long, one goes on in each turn of the loop: with a hundred of them a turn is as
long as with one, and whoever needs a dozen short turns does not wait for all of the others in each.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

SECONDS = 0.002
"""How long one task may go on before others get a turn."""


class Turn:
    """The time that a task has before others get theirs; it begins when this is made."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + SECONDS

    @property
    def over(self) -> bool:
        """Whether others should run now: see `pass_on`."""
        return time.perf_counter() > self._until

    async def pass_on(self) -> None:
        """Let the others run, and begin anew."""
        loop = asyncio.get_running_loop()
        waiting = _waiting.setdefault(loop, deque())
        own = loop.create_future()
        waiting.append(own)
        if len(waiting) == 1:
            loop.call_soon(_let_one_go_on, waiting)
        await own
        self._until = time.perf_counter() + SECONDS


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items; others get their turns in between."""
    turn = Turn()
    for item in items:
        yield item
        if turn.over:
            await turn.pass_on()


_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[asyncio.Future[None]]] = (
    WeakKeyDictionary()
)
"""Those that have passed on, in the order in which they did."""


def _let_one_go_on(waiting: deque[asyncio.Future[None]]) -> None:
    # It stays the first until then, so that this is called once per turn of the loop.
    first = waiting[0]
    if not first.done():  # the task may have been cancelled
        first.set_result(None)
    waiting.popleft()
    if waiting:
        first.get_loop().call_soon(_let_one_go_on, waiting)
