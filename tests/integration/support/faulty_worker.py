"""A worker that breaks when it is told to: `faust -A tests.integration.support.faulty_worker`.

Each fault is one that no part of the worker can see the cause of. A signal brings it about.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from app import app as application

FOR_EVER = 3600.0


class Fault(IntEnum):
    """What breaks, by the signal's number."""

    EVENT_LOOP = signal.SIGRTMIN + 1
    """The event loop hangs."""

    CONSUMER_THREAD = signal.SIGRTMIN + 2
    """The thread in which the consumer lives hangs: no fetch, no commit, no heartbeat."""

    FETCHER = signal.SIGRTMIN + 3
    """The consumer heartbeats and fetches nothing any more."""

    WRITER = signal.SIGRTMIN + 4
    """Documents are taken for writing and never written."""

    COMMIT = signal.SIGRTMIN + 5
    """Everything is stored, and nothing is committed."""


def _hang_the_event_loop() -> None:
    time.sleep(FOR_EVER)


def _hang_the_consumer_thread() -> None:
    consumer: Any = application.consumer
    thread = consumer._thread
    thread.thread_loop.call_soon_threadsafe(time.sleep, FOR_EVER)


def _fetch_nothing() -> None:
    async def nothing(**_: object) -> dict[Any, Any]:
        await asyncio.sleep(1.0)
        return {}

    consumer: Any = application.consumer
    consumer._getmany = nothing


def _write_nothing() -> None:
    async def never(_: object) -> Any:
        await asyncio.Event().wait()

    writer: Any = application.writer
    writer.write = never


def _commit_nothing() -> None:
    ledger: Any = application.ledger
    ledger.committable = dict


_FAULTS: dict[Fault, Callable[[], None]] = {
    Fault.EVENT_LOOP: _hang_the_event_loop,
    Fault.CONSUMER_THREAD: _hang_the_consumer_thread,
    Fault.FETCHER: _fetch_nothing,
    Fault.WRITER: _write_nothing,
    Fault.COMMIT: _commit_nothing,
}

for _fault in Fault:
    signal.signal(_fault, lambda number, _: _FAULTS[Fault(number)]())

app = application
