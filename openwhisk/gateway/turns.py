"""The event loop's time for bodies, shared among those who send them.

A piece of work takes a few milliseconds at most, but a hundred requests have a hundred under way.
If each did one in every turn of the loop, a turn would be long, and a small write takes some ten of
them. So a turn has time for a few short pieces or a single long one, of all requests together, and
the next turn is another client's. Whoever sends on many connections gets no more of them.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from typing import Any, Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]
"""Work that yields after each piece, and returns a result."""

TURN: Final = 0.001
"""Seconds after which no further piece begins in this turn of the loop."""


class Rounds(Generic[T]):
    """What waits, in the order of its turns: one of each owner, then the next of the first."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, owner: str, item: T) -> None:
        """Put an item behind all others of its owner."""
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = deque()
        queue.append(item)

    def next(self) -> tuple[str, T]:
        """Take out the item whose turn it is, with its owner, who comes behind all others now."""
        owner, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._queues[owner] = queue
        return owner, item

    def discard(self, owner: str, item: T) -> None:
        """Take out an item, if it is there."""
        queue = self._queues.get(owner)
        if queue is not None and item in queue:
            queue.remove(item)
            if not queue:
                del self._queues[owner]


class Turns:
    """Does work in the event loop, a few pieces per turn of the loop.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._until: float | None = None
        """When no further piece begins in the current turn; None: nothing was done in it yet."""
        self._waiting: Rounds[tuple[Steps[Any], asyncio.Future[Any]]] = Rounds()

    async def run(self, owner: str, steps: Steps[T]) -> T:
        """Do some work; returns or raises what it does.

        Args:
            owner: who sent what it is about.
            steps: the work.
        """
        if not self._waiting:
            # Done here as far as there is time, because most work is a single short piece.
            until = self._begin() if self._until is None else self._until
            try:
                while self._clock() < until:
                    next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, (steps, done))
        try:
            return await done
        except asyncio.CancelledError:
            self._waiting.discard(owner, (steps, done))
            raise
        finally:
            steps.close()

    def _begin(self) -> float:
        """Begin with the work of this turn; returns until when."""
        self._until = until = self._clock() + TURN
        asyncio.get_running_loop().call_soon(self._next_turn)
        return until

    def _next_turn(self) -> None:
        self._until = None
        if not self._waiting:
            return
        until = self._begin()
        self._one(*self._waiting.next(), until)
        while self._waiting and self._clock() < until:
            self._one(*self._waiting.next(), until)

    def _one(self, owner: str, item: tuple[Steps[Any], asyncio.Future[Any]], until: float) -> None:
        """Do a piece of some work and what there is time for; the rest waits again."""
        steps, done = item
        if done.done():  # its client has left
            return
        try:
            next(steps)
            while self._clock() < until:
                next(steps)
        except StopIteration as end:
            done.set_result(end.value)
        except Exception as error:  # noqa: BLE001 - raised where the work is awaited
            done.set_exception(error)
        else:
            self._waiting.add(owner, item)


def single(function: Callable[..., T], *arguments: Any) -> Steps[T]:
    """Work of a single piece: calling a function."""
    yield from ()
    return function(*arguments)
