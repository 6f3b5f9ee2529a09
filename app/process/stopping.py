"""Bounds the time that a stop may take.

Each part of the worker bounds its own waits. But Faust and the Kafka client wait without bound
while no broker answers (for a commit, for a flush, to leave the group), and a supervisor that waits
for the worker to end cannot start another one.
"""

import logging
import os
import threading
from collections.abc import Callable

from app.process.detached import LAST_SECONDS, drain_detached

logger = logging.getLogger(__name__)

GRACE = 8.0
"""Seconds after the deadline for in-flight work, for everything else that a stop has to do."""

FORCED = 1
"""Exit code of a process that had to be ended."""


class Watchdog:
    """Ends the process when it is not over in time.

    Args:
        seconds: from `start` on.
        why: what is known to keep it from stopping; empty where nothing is.
        end: ends the process at once, with an exit code.
    """

    def __init__(
        self,
        seconds: float,
        *,
        why: Callable[[], str] = lambda: "",
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._seconds = seconds
        self._why = why
        self._end = end
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Begin to count, once; a thread does, since the event loop may be what hangs."""
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._force)
            self._timer.daemon = True
            self._timer.start()

    def _force(self) -> None:
        end_saying(self._say, self._end)

    def _say(self) -> None:
        why = self._why()
        logger.error(
            "Not stopped after %g s%s: ending the process. What was not committed will be "
            "delivered again.",
            *(self._seconds, f", because {why}" if why else ""),
        )


def end_saying(say: Callable[[], object], end: Callable[[int], object]) -> None:
    """End the process after it has logged why, or could not within a few seconds.

    What hangs may hold the lock of a handler, and whoever reads the log may be what hangs.

    Args:
        say: logs why, in a thread of its own.
        end: ends the process at once, with an exit code.
    """

    def speak() -> None:
        say()
        drain_detached()

    try:
        speaker = threading.Thread(target=speak, name="last words", daemon=True)
        speaker.start()
        speaker.join(LAST_SECONDS)
    finally:
        end(FORCED)
