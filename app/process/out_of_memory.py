"""Ends a process that is out of memory with one message.

A `MemoryError` may have interrupted anything, in any thread, so that nothing can be relied on any
more; and there are as many of them as there are tasks. Whoever catches one last logs it (asyncio,
Faust), which is where all of them can be noticed, and where none leaves its traceback. Python has a
hook for those that end a thread.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from app.process.stopping import end_saying

logger = logging.getLogger(__name__)

RESERVE = 16 * 1024 * 1024
"""Bytes of address space that are given back for the last words: they need a thread's stack, too.
Nothing is written there, so that they take no memory.
"""


def end_without_memory(*, end: Callable[[int], object] = os._exit) -> None:
    """Have the first `MemoryError` that is logged, or ends a thread, end this process.

    Args:
        end: ends the process at once, with an exit code.
    """
    make, report = logging.getLogRecordFactory(), threading.excepthook
    reserve = [bytearray(RESERVE)]
    # Reentrant, as the cycle collector may log. Whoever else has one waits for the end.
    ending = threading.RLock()

    def end_here() -> None:
        with ending:
            reserve.clear()
            end_saying(_say, end)

    def factory(*given: Any, **named: Any) -> logging.LogRecord:
        if _tells_of_one(*given[5:7]):
            end_here()
        return make(*given, **named)

    def hook(ended: threading.ExceptHookArgs) -> None:
        if issubclass(ended.exc_type, MemoryError):
            end_here()
        report(ended)

    logging.setLogRecordFactory(factory)
    threading.excepthook = hook


def _tells_of_one(arguments: object = (), error: tuple[Any, ...] | None = None) -> bool:
    """Whether a `MemoryError` is among the arguments or in the `exc_info` of a record."""
    told = (*(arguments if isinstance(arguments, tuple) else ()), *(error or ()))
    return any(isinstance(one, MemoryError) for one in told)


def _say() -> None:
    logger.error(
        "There is no memory left: ending the process, so that its supervisor restarts it. What was "
        "not committed will be delivered again. Give it more, or lower PERSISTER_FETCH_BYTES and "
        "PERSISTER_IN_FLIGHT_BYTES."
    )
