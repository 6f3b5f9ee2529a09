"""Ends the process when its event loop hangs, since nothing within the loop could."""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from app.process.stopping import FORCED

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0

FRAMES = 15
"""Of the stack, the innermost ones; one argument of a log line is bounded."""


class Heartbeat:
    """A thread that counts how often the event loop was late.

    It counts its own turns, not the time: a process that was frozen as a whole, or a machine that
    was asleep, has missed no beat.

    Args:
        seconds: without a beat, after which the process is ended; 0 for never.
        end: ends the process at once, with an exit code.
    """

    def __init__(self, seconds: float, *, end: Callable[[int], object] = os._exit) -> None:
        self._limit = seconds / BEAT_SECONDS
        self._end = end
        self._missed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        if self._limit:
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
        if self._missed >= self._limit:
            try:
                logger.error(
                    "The event loop has hung for %d s: ending the process, so that its supervisor "
                    "restarts it (PERSISTER_STUCK_AFTER). It hangs in %s.",
                    *(self._missed * BEAT_SECONDS, _stack()),
                )
            finally:
                self._end(FORCED)

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            self.turn()


def _stack() -> str:
    """Where the main thread, which runs the event loop, is now; innermost first."""
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main or 0)  # noqa: SLF001 - the only way to another thread
    frames = traceback.extract_stack(frame)[: -FRAMES - 1 : -1]
    return " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames)
