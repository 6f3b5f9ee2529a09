"""A consumer is stopped in bounded time, and what goes wrong on its way out is nobody's error."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.stopping import stop_consumer

SOON = 0.01


async def well() -> None:
    """Stop as it should."""


async def hangs() -> None:
    await asyncio.Event().wait()


async def never_ends() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(20 * SOON)
            return


async def raises() -> None:
    raise ValueError


async def cancelled_within() -> None:
    """As aiokafka's does that awaits its own task, which has just been cancelled."""
    within = asyncio.ensure_future(hangs())
    await asyncio.sleep(0)
    within.cancel()
    await within


def consumer(stop: Callable[[], Awaitable[None]], close: Callable[[], Awaitable[None]]) -> Any:
    return SimpleNamespace(stop=stop, _client=SimpleNamespace(close=close))


@pytest.mark.parametrize("stop", [hangs, never_ends, raises, cancelled_within])
@pytest.mark.parametrize("close", [well, hangs, raises])
async def test_its_connections_are_closed_whatever_happens(stop: Any, close: Any) -> None:
    closed = asyncio.Event()

    async def closing() -> None:
        closed.set()
        await close()

    async with asyncio.timeout(10):
        await stop_consumer(consumer(stop, closing), SOON)
    assert closed.is_set()


async def test_one_that_stops_has_closed_them_itself() -> None:
    async def closing() -> None:
        raise AssertionError

    await stop_consumer(consumer(well, closing), SOON)


async def test_whoever_waits_can_still_be_cancelled() -> None:
    stopping = asyncio.ensure_future(stop_consumer(consumer(hangs, well), 60))
    await asyncio.sleep(SOON)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
