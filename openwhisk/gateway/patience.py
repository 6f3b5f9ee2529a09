"""Waits for CouchDB to come back, for as long as a client waits.

OpenWhisk never repeats a write that was answered. So what only CouchDB can take is held while that
can't be connected to, as it is while Kafka stands still, and then left unanswered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from openwhisk.gateway.upstream import UnreachableError

_Answer = TypeVar("_Answer")

_PAUSE = 0.5
"""Seconds between two attempts to connect."""


async def when_connected(attempt: Callable[[], Awaitable[_Answer]], until: float) -> _Answer:
    """The result of the first attempt that reaches CouchDB.

    Args:
        attempt: sends a request.
        until: when to stop trying, in monotonic seconds.

    Raises:
        UnreachableError: the last attempt failed, too.
    """
    while True:
        try:
            return await attempt()
        except UnreachableError:
            left = until - time.monotonic()
            if left <= 0:
                raise
        await asyncio.sleep(min(_PAUSE, left))
