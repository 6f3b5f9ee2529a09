"""The wall clock jumps."""

import asyncio

from dev.chaos.fault import Fault, Kind, NotProvoked
from dev.chaos.stage import Stage

DAY = 86_400.0
JUMPS = (3 * DAY, -40 * DAY, 400 * DAY, 0.0)
"""Seconds from the machine's clock, one after the other: more than the guard's age both ways."""

BETWEEN = 3.0


async def jumps(stage: Stage) -> None:
    """Jumps by days, forward and back, under load; a worker is restarted after each."""
    if stage.clock is None:
        raise NotProvoked("libfaketime is not there for this machine")
    for offset in JUMPS:
        stage.clock.set(offset)
        await asyncio.sleep(BETWEEN)
        await stage.goes_on(20.0, f"with a clock that is {offset / DAY:g} days off")
        await stage.crew.kill(stage.random.choice(stage.crew.wanted))


FAULTS = (
    Fault(
        "clock-jumps",
        Kind.CLOCK,
        "the guard forgets at most more than it should; nothing is stored twice or lost",
        jumps,
    ),
)
