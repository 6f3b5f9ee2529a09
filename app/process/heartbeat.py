"""Ends the process when its event loop hangs, which nothing within the loop could do."""

import asyncio
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.process.stopping import end_saying

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
"""Between two turns, at most."""

FEWEST = 4
"""Turns without a beat, before the process is ended."""

FRAMES = 15
"""Of the stack, the innermost ones; one argument of a log line is bounded."""


class Heartbeat:
    """A thread that asks the event loop for a beat in each turn, and counts those that are missing.

    It counts its own turns, not the time: a process that was frozen as a whole, or a machine that
    was asleep, has missed no beat.

    Args:
        seconds: without a beat, after which the process is ended; 0 for never.
        end: ends the process at once, with an exit code.
    """

    def __init__(self, seconds: float, *, end: Callable[[int], object] = os._exit) -> None:
        self._seconds = seconds
        self._pause = min(BEAT_SECONDS, seconds / FEWEST)
        self._end = end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._missed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to count; called in the event loop."""
        if self._seconds:
            self._loop = asyncio.get_running_loop()
            self._thread.start()

    def stop(self) -> None:
        """Count no more."""
        self._stopped.set()

    def beat(self) -> None:
        """The event loop runs."""
        self._missed = 0

    def turn(self) -> None:
        """Count one turn; ends the process when there have been too many without a beat."""
        self._missed += 1
        hung = self._missed * self._pause
        if hung >= self._seconds:
            end_saying(lambda: _say(hung), self._end)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause):
            self.turn()
            with suppress(RuntimeError):  # the loop has ended since
                self._ask()

    def _ask(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.beat)


def _say(hung: float) -> None:
    logger.error(
        "The event loop has hung for %g s: ending the process, so that its supervisor "
        "restarts it (PERSISTER_STUCK_AFTER). It hangs in %s.",
        *(hung, _stack()),
    )


def _stack() -> str:
    """Where the main thread, which runs the event loop, is now; innermost first."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main or 0)  # noqa: SLF001 - the only way to another thread
    frames = traceback.extract_stack(frame)[: -FRAMES - 1 : -1]
    return " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames)
