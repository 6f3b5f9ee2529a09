"""The broker goes away."""

import asyncio

from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import SESSION_TIMEOUT, Stage


async def stopped(stage: Stage) -> None:
    """An orderly stop, for less or more than the session timeout."""
    with stage.watch.standstill():
        await asyncio.to_thread(stage.kafka.stop)
        await asyncio.sleep(stage.random.uniform(1, 2.5 * SESSION_TIMEOUT))
        await asyncio.to_thread(stage.kafka.start)


async def killed(stage: Stage) -> None:
    """SIGKILL in the middle of everything."""
    with stage.watch.standstill():
        await asyncio.to_thread(stage.kafka.kill)
        await asyncio.sleep(stage.random.uniform(0, 2.5 * SESSION_TIMEOUT))
        await asyncio.to_thread(stage.kafka.start)


FAULTS = (
    Fault(
        "broker-stop",
        Kind.BROKER,
        "workers wait for it without ending",
        stopped,
        recovery=30.0,
        rounds=3,
        short=1,
    ),
    Fault(
        "broker-kill",
        Kind.BROKER,
        "the same",
        killed,
        recovery=30.0,
        rounds=3,
    ),
)
