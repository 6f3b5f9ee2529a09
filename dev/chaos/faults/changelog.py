"""The guard's changelog is behind or ahead of the committed offsets."""

import asyncio
import time

from app.kafka.reader import Reader, open_reader
from dev.admin import admin as connect_admin
from dev.chaos.crew import status
from dev.chaos.fault import Fault, Kind, NotProvoked
from dev.chaos.stage import PARTITIONS, Stage

QUICK_COMPACTION = {
    "cleanup.policy": "compact",
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "0",
}
COMPACTION_SECONDS = 40.0
AGAIN_SECONDS = 60.0
"""Seconds for what comes again."""


async def emptied(stage: Stage) -> None:
    """All of its records are deleted under running workers, which are then killed."""
    await _empty(stage)
    await _kill_all(stage)


async def emptied_and_behind(stage: Stage) -> None:
    """The same, and everything is redelivered: only the database knows the duplicates."""
    rewound = await _rewind(stage, empty=True)
    await _until_found(stage, "database", rewound // 4)


async def ahead(stage: Stage) -> None:
    """It holds digests of records that the group has not committed."""
    rewound = await _rewind(stage, empty=False)
    await _until_found(stage, "guard", rewound // 4)
    by_database = await _duplicates(stage, "database")
    if by_database > rewound // 10:
        stage.findings.append(f"the guard forgot {by_database} of {rewound} records")


async def compacted(stage: Stage) -> None:
    """Compaction leaves gaps in its offsets."""
    async with connect_admin(stage.kafka.url) as admin:
        await admin.configure_topic(stage.changelog, QUICK_COMPACTION)
    async with open_reader(stage.kafka_settings) as reader:
        deadline = time.monotonic() + COMPACTION_SECONDS
        while not await _has_holes(reader, stage.changelog):
            if time.monotonic() > deadline:
                raise NotProvoked("Kafka compacted nothing in time")
            await asyncio.sleep(1)
    await _kill_all(stage)


async def _empty(stage: Stage) -> None:
    """Delete all records up to the current end."""
    async with connect_admin(stage.kafka.url) as admin:
        # Kafka deletes from no topic that is only compacted.
        await admin.configure_topic(stage.changelog, {"cleanup.policy": "compact,delete"})
        await admin.empty_topic(stage.changelog)
        await admin.configure_topic(stage.changelog, {"cleanup.policy": "compact"})


async def _kill_all(stage: Stage) -> None:
    await asyncio.gather(*(stage.crew.kill(member) for member in stage.crew.wanted))


async def _rewind(stage: Stage, *, empty: bool) -> int:
    """Stop all workers, reset the internal topic's offsets to its start, and restart them.

    Returns:
        How many records come again.
    """
    with stage.watch.standstill():
        members = list(stage.crew.wanted)
        await asyncio.gather(*(stage.crew.retire(member) for member in members))
        if empty:
            await _empty(stage)
        documents = stage.names.documents
        async with connect_admin(stage.kafka.url) as admin:
            ends = await admin.end_offsets(documents)
            # A look in between must not take it for a worker's commit.
            stage.watch.movement.begins_anew([documents])
            starts = await admin.rewind(stage.group, documents)
        for member in members:
            await stage.crew.resume(member)
    return sum(ends.values()) - sum(starts.values())


async def _until_found(stage: Stage, finder: str, count: int) -> None:
    """Wait until the guard or the database has found `count` duplicates."""
    deadline = time.monotonic() + AGAIN_SECONDS
    while (found := await _duplicates(stage, finder)) < count:
        if time.monotonic() > deadline:
            stage.findings.append(f"the {finder} found {found} duplicates, expected {count}")
            return
        await asyncio.sleep(1)


async def _duplicates(stage: Stage, finder: str) -> int:
    """The duplicates that the workers have counted since their start."""
    answers = await asyncio.gather(*(status(member.worker) for member in stage.crew.wanted))
    stored = [answer.get("outcomes", {}).get("store", {}) for answer in answers]
    return sum(each.get("duplicate", {}).get(finder, 0) for each in stored)


async def _has_holes(reader: Reader, topic: str) -> bool:
    """Whether a partition holds fewer records than its offset range spans."""
    for partition, bounds in (await reader.bounds(topic, PARTITIONS)).items():
        records = [record async for record in reader.records(partition, bounds)]
        if len(records) < bounds.end - bounds.start:
            return True
    return False


FAULTS = (
    # First, while the guard still knows everything.
    Fault(
        "changelog-ahead",
        Kind.CHANGELOG,
        "what the guard knows is stored, whatever was committed: nothing is written again",
        ahead,
        recovery=30.0,
        anytime=False,
    ),
    Fault(
        "changelog-empty",
        Kind.CHANGELOG,
        "workers start with an empty guard instead of waiting for entries that are gone",
        emptied,
        recovery=30.0,
    ),
    Fault(
        "changelog-empty-and-behind",
        Kind.CHANGELOG,
        "what comes again without the guard is settled by the database's conflict",
        emptied_and_behind,
        recovery=30.0,
        anytime=False,
    ),
    Fault(
        "changelog-compacted",
        Kind.CHANGELOG,
        "recovery ends, although offsets are missing",
        compacted,
        recovery=30.0,
    ),
)
