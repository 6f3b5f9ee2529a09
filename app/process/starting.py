"""What stops a service that has not begun. Imports nothing that takes time."""

import os
import signal
from types import FrameType


def end_at_signals() -> None:
    """Have SIGTERM and SIGINT end this process at once, with exit code 0.

    Until its event loop handles them: imports are most of a start, and a stop while they last is
    one like any other. Not by an exception, which may come in the middle of whatever is imported.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)
