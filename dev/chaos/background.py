"""A task of the fault suite's own that runs beside the faults."""

import asyncio
from abc import ABC, abstractmethod


class Background(ABC):
    """Runs until it is stopped."""

    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @abstractmethod
    async def _run(self) -> None:
        """Go on until cancelled."""
