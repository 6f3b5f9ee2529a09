"""A worker that breaks when it is told to: `faust -A dev.faulty_worker`.

Each breakdown is one that no part of the worker can see the cause of. A signal brings it about.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

from app import app as application
from dev.breakdowns import Breakdown

FOR_EVER = 3600.0


def _hang_the_event_loop() -> None:
    time.sleep(FOR_EVER)


def _hang_the_consumer_thread() -> None:
    consumer: Any = application.consumer
    thread = consumer._thread  # noqa: SLF001 - what breaks is inside
    thread.thread_loop.call_soon_threadsafe(time.sleep, FOR_EVER)


def _fetch_nothing() -> None:
    async def nothing(**_: object) -> dict[Any, Any]:
        await asyncio.sleep(1.0)
        return {}

    consumer: Any = application.consumer
    consumer._getmany = nothing  # noqa: SLF001 - as above


def _write_nothing() -> None:
    async def never(_: object) -> Any:
        await asyncio.Event().wait()

    writer: Any = application.writer
    writer.write = never


def _commit_nothing() -> None:
    ledger: Any = application.ledger
    ledger.committable = dict


_BREAKDOWNS: dict[Breakdown, Callable[[], None]] = {
    Breakdown.EVENT_LOOP: _hang_the_event_loop,
    Breakdown.CONSUMER_THREAD: _hang_the_consumer_thread,
    Breakdown.FETCHER: _fetch_nothing,
    Breakdown.WRITER: _write_nothing,
    Breakdown.COMMIT: _commit_nothing,
}

for _breakdown in Breakdown:
    signal.signal(_breakdown, lambda number, _: _BREAKDOWNS[Breakdown(number)]())

app = application
