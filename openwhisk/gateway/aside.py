"""Work for one thread beside the loop, taken in turns from those who ask for it.

One thread: of several, each would get the interpreter before the loop does. A second one that only
waits for another process takes nothing of it. One queue would be filled by whoever sends the most;
here each has its own, and the next piece comes from another one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

from openwhisk.gateway.turns import Rounds

T = TypeVar("T")

_Asked: TypeAlias = tuple[Callable[[], Any], asyncio.Future[Any]]


class Aside:
    """Runs functions, one at a time.

    Args:
        name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: Rounds[_Asked] = Rounds()
        self._busy = False

    async def run(self, owner: str, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function; returns or raises what it does.

        Args:
            owner: whose turn it takes.
            function: the function to call in the thread.
            arguments: its arguments.
        """
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        asked = (partial(function, *arguments), result)
        self._waiting.add(owner, asked)
        self._next()
        try:
            return await result
        except asyncio.CancelledError:
            self._waiting.discard(owner, asked)
            raise

    def _next(self) -> None:
        while self._waiting and not self._busy:
            _, (work, result) = self._waiting.next()
            if not result.done():  # somebody still waits for it
                self._busy = True
                running = asyncio.get_running_loop().run_in_executor(self._thread, work)
                running.add_done_callback(partial(self._done, result))

    def _done(self, result: asyncio.Future[Any], running: asyncio.Future[Any]) -> None:
        self._busy = False
        self._next()
        error = None if running.cancelled() else running.exception()
        if result.done():
            return
        if running.cancelled():
            result.cancel()
        elif error is not None:
            result.set_exception(error)
        else:
            result.set_result(running.result())
