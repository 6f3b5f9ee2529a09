"""Workers that stand still for a cause that no part of them can see."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from dev.breakdowns import Breakdown
from dev.chaos.crew import Member, break_down, status
from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import Stage

NOT_READY_SECONDS = 15.0
GONE_SECONDS = 90.0


def breaking(how: Breakdown) -> Callable[[Stage], Awaitable[None]]:
    """Something in a worker breaks while records flow."""

    async def inflict(stage: Stage) -> None:
        member = stage.random.choice([one for one in stage.crew.wanted if await _reads(one)])
        exits = len(stage.crew.exits)
        began = time.monotonic()

        def gone() -> bool:
            return any(end.number == member.number for end in stage.crew.exits[exits:])

        with stage.flow.insisting(), stage.watch.standstill():
            break_down(member, how)
            not_ready = None
            while not gone() and time.monotonic() - began < GONE_SECONDS:
                ready = (await status(member.worker)).get("ready")
                if not_ready is None and not ready:
                    not_ready = time.monotonic() - began
                await asyncio.sleep(0.5)
            lasted = time.monotonic() - began
        if not gone():
            stage.findings.append(f"{how.name}: worker {member.number} is there after {lasted:g} s")
            await stage.crew.kill(member)
        if not_ready is None or not_ready > NOT_READY_SECONDS:
            stage.findings.append(f"{how.name}: not ready only after {not_ready or lasted:.0f} s")
        stage.say(f"    {how.name}: not ready after {not_ready or lasted:.0f} s, gone {lasted:.0f}")

    return inflict


async def _reads(member: Member) -> bool:
    """Whether a worker holds a partition: Faust leaves one out where the others hold all.

    One that should fetch nothing does not stand still when it can't.
    """
    topics = (await status(member.worker)).get("topics", {})
    return any(found["mine"] for partitions in topics.values() for found in partitions.values())


FAULTS = tuple(
    Fault(
        name,
        Kind.JUDGE,
        "the worker is not ready within 15 s, and gone within 90",
        breaking(how),
        recovery=30.0,
        may_exit=True,
    )
    for name, how in (
        ("consumer-hangs", Breakdown.CONSUMER_THREAD),
        ("fetcher-sleeps", Breakdown.FETCHER),
    )
)
