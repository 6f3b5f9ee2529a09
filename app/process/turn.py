"""Lets other tasks run in between, where something takes long in the event loop."""

import asyncio
import time

SECONDS = 0.01
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
        await asyncio.sleep(0)
        self._until = time.perf_counter() + SECONDS
