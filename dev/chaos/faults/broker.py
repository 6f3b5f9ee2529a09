"""The broker goes away."""

import asyncio

from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import REQUEST_TIMEOUT, SESSION_TIMEOUT, Stage


async def stopped(stage: Stage) -> None:
    """A clean shutdown, for shorter or longer than the session timeout."""
    with stage.watch.standstill():
        await asyncio.to_thread(stage.kafka.stop)
        await asyncio.sleep(stage.random.uniform(1, 2.5 * SESSION_TIMEOUT))
        await asyncio.to_thread(stage.kafka.start)


async def killed(stage: Stage) -> None:
    """SIGKILL under load."""
    with stage.watch.standstill():
        await asyncio.to_thread(stage.kafka.kill)
        await asyncio.sleep(stage.random.uniform(0, 2.5 * SESSION_TIMEOUT))
        await asyncio.to_thread(stage.kafka.start)


async def away_in_recovery(stage: Stage) -> None:
    """The broker dies during a rebalance, for longer than its clients' request timeout."""
    with stage.watch.standstill():
        for member in stage.crew.wanted[1:]:
            await stage.crew.kill(member)
        # Dead members are noticed and started ones join about now.
        await asyncio.sleep(stage.random.uniform(0.5, SESSION_TIMEOUT + 1))
        await asyncio.to_thread(stage.kafka.kill)
        await asyncio.sleep(REQUEST_TIMEOUT + stage.random.uniform(2, 6))
        await asyncio.to_thread(stage.kafka.start)


async def away_at_stop(stage: Stage) -> None:
    """A worker gets SIGTERM while there is no broker to commit to."""
    member = stage.random.choice(stage.crew.wanted)
    with stage.watch.standstill():
        await asyncio.to_thread(stage.kafka.kill)
        await asyncio.sleep(stage.random.uniform(0, 2))
        if await stage.crew.retire(member) is None:
            stage.findings.append(f"worker {member.number} did not stop while the broker was away")
        await asyncio.to_thread(stage.kafka.start)
        await stage.crew.resume(member)


FAULTS = (
    Fault(
        "broker-stop",
        Kind.BROKER,
        "workers wait for it without ending",
        stopped,
        recovery=30.0,
        rounds=2,
        short=1,
    ),
    Fault(
        "broker-kill",
        Kind.BROKER,
        "the same",
        killed,
        recovery=30.0,
        rounds=2,
    ),
    Fault(
        "broker-away-at-stop",
        Kind.BROKER,
        "SIGTERM ends the worker, with whatever exit code",
        away_at_stop,
        recovery=30.0,
    ),
    Fault(
        "broker-away-in-recovery",
        Kind.BROKER,
        "recovery of the guard's table begins again, instead of ending without a word; a worker "
        "that was just starting may end and be started again",
        away_in_recovery,
        recovery=40.0,
        rounds=2,
        may_exit=True,
    ),
)
