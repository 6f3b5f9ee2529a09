"""Workers crash, hang, restart and scale."""

import asyncio

from dev.chaos.crew import Member, freeze, thaw
from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import WORKERS, Stage

READY = 30.0
MANY = 4


async def sigkill(stage: Stage) -> None:
    """Kills two workers; the second often during the rebalance that the first one caused."""
    first, second = stage.random.sample(stage.crew.wanted, 2)
    await stage.crew.kill(first)
    await asyncio.sleep(stage.random.uniform(0, stage.session))
    await stage.crew.kill(second)


async def zombie(stage: Stage) -> None:
    """A worker hangs until the others own its partitions, then goes on with its work in flight."""
    member = stage.random.choice(stage.crew.wanted)
    if not member.worker.running:
        return
    freeze(member)
    try:
        if stage.alone:
            # It takes the group a moment to notice; before that, nothing says who is silent.
            await asyncio.sleep(stage.session)
            await stage.goes_on(20.0, f"without the silent worker {member.number}")
        else:
            await asyncio.sleep(2 * stage.session)
        await asyncio.sleep(stage.random.uniform(0, 2))
    finally:
        thaw(member)


async def rolling_restart(stage: Stage) -> None:
    """Restarts one worker after another, as in an upgrade."""
    for member in list(stage.crew.wanted):
        await _stop(stage, member)
        await stage.crew.resume(member)
        if stage.alone and await stage.crew.ready(READY):
            stage.findings.append(f"not all ready {READY:g} s after worker {member.number} began")


async def scaling(stage: Stage) -> None:
    """Scales to one worker, to four, to one, and back."""
    for size in (1, MANY, 1, WORKERS):
        running = list(stage.crew.wanted)
        await asyncio.gather(*(_stop(stage, member) for member in running[size:]))
        idle = [member for member in stage.crew.members if not member.wanted]
        for member in idle[: max(0, size - len(running))]:
            await stage.crew.resume(member)
        for _ in range(size - len(running) - len(idle)):
            await stage.crew.hire()
        if stage.alone:
            late = await stage.crew.ready(READY)
            stage.findings += [f"worker {m.number} of {size} is not ready" for m in late]
            await stage.goes_on(20.0, f"with {size} workers")


async def _stop(stage: Stage, member: Member) -> None:
    code = await stage.crew.retire(member)
    # Beside other faults there may be no broker to commit to: then the stop is a forced one.
    if code is None or (code != 0 and stage.alone):
        stage.findings.append(f"SIGTERM to worker {member.number}: exit code {code}")


FAULTS = (
    Fault(
        "sigkill",
        Kind.WORKERS,
        "its partitions go to the others, and what it had in flight is delivered again",
        sigkill,
        rounds=25,
        short=2,
    ),
    Fault(
        "zombie",
        Kind.WORKERS,
        "the others take over meanwhile; when it comes back its commits are refused, and it joins "
        "again or ends",
        zombie,
        rounds=2,
        short=1,
        may_exit=True,
    ),
    Fault(
        "rolling-restart",
        Kind.WORKERS,
        "every SIGTERM ends with exit code 0 within the deadline",
        rolling_restart,
    ),
    Fault("scaling", Kind.WORKERS, "the workers that are there share the partitions", scaling),
)
