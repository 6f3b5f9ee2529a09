"""Several faults at once."""

import asyncio

from dev.chaos.fault import Fault, Kind
from dev.chaos.faults import broker, database, workers
from dev.chaos.stage import Stage

LONGEST_DELAY = 5.0
"""Seconds between the beginnings."""


async def at_once(stage: Stage) -> None:
    """Two or three faults of different kinds, starting at different times."""
    kinds = stage.random.sample(
        (workers.FAULTS, broker.FAULTS, database.FAULTS), stage.random.choice((2, 2, 3))
    )
    chosen = [stage.random.choice(faults) for faults in kinds]
    stage.say(f"    at once: {', '.join(fault.name for fault in chosen)}")

    async def later(fault: Fault) -> None:
        await asyncio.sleep(stage.random.uniform(0, LONGEST_DELAY))
        await fault.inflict(stage)

    stage.alone = False
    try:
        with stage.watch.standstill():
            async with asyncio.TaskGroup() as group:
                for fault in chosen:
                    group.create_task(later(fault))
    finally:
        stage.alone = True


FAULTS = (
    Fault(
        "mixed",
        Kind.MIXED,
        "the same as for each alone",
        at_once,
        recovery=40.0,
        rounds=5,
        short=1,
        may_exit=True,
    ),
)
