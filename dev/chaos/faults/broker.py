"""The broker goes away."""

import asyncio
import contextlib
import os
import signal

from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import REQUEST_TIMEOUT, Stage


async def stopped(stage: Stage) -> None:
    """A clean shutdown, for shorter or longer than the session timeout."""
    with stage.watch.standstill():
        await stage.kafka.stop()
        await asyncio.sleep(stage.random.uniform(1, 2.5 * stage.session))
        await stage.kafka.start()


async def killed(stage: Stage) -> None:
    """SIGKILL under load."""
    with stage.watch.standstill():
        await stage.kafka.kill()
        await asyncio.sleep(stage.random.uniform(0, 2.5 * stage.session))
        await stage.kafka.start()


async def away_in_recovery(stage: Stage) -> None:
    """The broker dies during a rebalance, for longer than its clients' request timeout."""
    with stage.watch.standstill():
        for member in stage.crew.wanted[1:]:
            await stage.crew.kill(member)
        # Dead members are noticed and started ones join about now.
        await asyncio.sleep(stage.random.uniform(0.5, stage.session + 1))
        await stage.kafka.kill()
        await asyncio.sleep(REQUEST_TIMEOUT + stage.random.uniform(2, 6))
        await stage.kafka.start()


async def away_at_stop(stage: Stage) -> None:
    """A worker gets SIGTERM while there is no broker to commit to."""
    member = stage.random.choice(stage.crew.wanted)
    with stage.watch.standstill():
        await stage.kafka.kill()
        await asyncio.sleep(stage.random.uniform(0, 2))
        if await stage.crew.retire(member) is None:
            stage.findings.append(f"worker {member.number} did not stop while the broker was away")
        await stage.kafka.start()
        await stage.crew.resume(member)


async def frozen_at_the_end(stage: Stage) -> None:
    """It freezes for longer than sessions last, and traffic ends when it thaws.

    Nothing comes afterwards that would wake what sleeps.
    """
    with contextlib.ExitStack() as quiet:
        with stage.watch.standstill():
            os.kill(stage.kafka.pid, signal.SIGSTOP)
            await asyncio.sleep(stage.random.uniform(2 * stage.session, 25))
            quiet.enter_context(stage.flow.paused())
            os.kill(stage.kafka.pid, signal.SIGCONT)
        await stage.all_is_stored()


async def killed_at_the_end(stage: Stage) -> None:
    """Traffic ends, and it is killed."""
    with stage.flow.paused():
        with stage.watch.standstill():
            await stage.kafka.kill()
            await asyncio.sleep(stage.random.uniform(0, 2.5 * stage.session))
            await stage.kafka.start()
        await stage.all_is_stored()


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
        "broker-frozen-at-the-end",
        Kind.BROKER,
        "everything is stored although nothing more comes",
        frozen_at_the_end,
        recovery=40.0,
        rounds=3,
    ),
    Fault(
        "broker-killed-at-the-end",
        Kind.BROKER,
        "the same",
        killed_at_the_end,
        recovery=40.0,
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
