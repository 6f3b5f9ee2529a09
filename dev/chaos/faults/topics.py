"""Topics of OpenWhisk that change while they are read."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dev.admin import Admin
from dev.admin import admin as connect_admin
from dev.chaos.crew import status
from dev.chaos.fault import Fault, Kind, NotProvoked
from dev.chaos.stage import Stage
from dev.kafka.cluster import USER
from dev.kafka.rights import rights

COPIES = 100
SOON = 25.0
"""Seconds within which a changed topic is read: discovery, a rebalance, and a busy machine."""

MANY = 3

LARGEST = str(16 * 1024 * 1024)
"""Bytes of a record that fits: some of what is copied is larger than Kafka's own limit."""


async def deleted(stage: Stage) -> None:
    """One is deleted before what was read of it last is committed."""
    async with _another_topic(stage) as (admin, topic):
        await stage.flow.send_copies(topic, COPIES)
        # Time to read them, and not to commit them.
        await asyncio.sleep(stage.random.uniform(0, 0.5))
        await admin.delete_topics(topic)
    with stage.flow.insisting():
        await stage.goes_on(20.0, "the other topics", stage.topics)


async def recreated(stage: Stage) -> None:
    """One is deleted and made again, and has new records."""
    async with _another_topic(stage) as (admin, topic):
        await admin.delete_topics(topic)
        await asyncio.sleep(stage.random.uniform(0, 3))
        await admin.create_topic(topic, max_message_bytes=LARGEST)
        await stage.flow.send_copies(topic, COPIES)
        await _read(stage, "a topic that was made again")


async def grown(stage: Stage) -> None:
    """One gets more partitions, all of which have records."""
    async with _another_topic(stage) as (admin, topic):
        await admin.grow_topic(topic, MANY)
        while len(await admin.end_offsets(topic)) < MANY:  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.1)
        for _ in range(MANY):
            await stage.flow.send_copies(topic, COPIES)
        await _read(stage, "a topic that has grown")


async def unreadable(stage: Stage) -> None:
    """The right to read one is taken away, and given back."""
    if not stage.kafka.guarded:
        raise NotProvoked("workers need no rights at this broker")
    async with _another_topic(stage) as (_, topic), rights(stage.kafka.url, USER) as granted:
        with stage.watch.standstill():
            await granted.deny_reading(topic)
            try:
                await stage.flow.send_copies(topic, COPIES)
                await _told(stage, topic)
            finally:
                await granted.stop_denying(topic)
        await _read(stage, "a topic that may be read again")


@asynccontextmanager
async def _another_topic(stage: Stage) -> AsyncIterator[tuple[Admin, str]]:
    """A further topic, already read, while all else is stored and pauses; it is deleted later.

    It holds copies of what was sent, so that nothing is lost with it.
    """
    with stage.flow.paused():
        await stage.all_is_stored()
        topic = stage.names.completed(f"x{stage.random.getrandbits(24):06x}")
        stage.watch.movement.begins_anew([topic])
        async with connect_admin(stage.kafka.url) as admin:
            await admin.create_topic(topic, max_message_bytes=LARGEST)
            stage.topics.append(topic)
            try:
                await stage.flow.send_copies(topic, COPIES)
                await _read(stage, "a new topic")
                yield admin, topic
            finally:
                stage.topics.remove(topic)
                await admin.delete_topics(topic)


async def _read(stage: Stage, what: str) -> None:
    began = time.monotonic()
    await stage.all_is_stored()
    took = time.monotonic() - began
    if took > SOON:
        stage.say(f"    slow: {what} is read after {took:.1f} s, usually within {SOON:g} s")


async def _told(stage: Stage, topic: str) -> None:
    """Wait until a worker shows that it may not read the topic."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        answers = await asyncio.gather(*(status(one.worker) for one in stage.crew.wanted))
        if any(topic in one.get("kafka", {}).get("unreadable_topics", {}) for one in answers):
            return
        await asyncio.sleep(0.5)
    stage.findings.append(f"no worker says within {SOON:g} s that it may not read {topic}")


FAULTS = (
    Fault("topic-deleted", Kind.TOPICS, "the other topics go on", deleted, recovery=30.0),
    Fault("topic-made-again", Kind.TOPICS, "it is read soon", recreated, recovery=30.0),
    Fault("topic-grown", Kind.TOPICS, "all partitions are read soon", grown, recovery=30.0),
    Fault(
        "topic-unreadable",
        Kind.TOPICS,
        "it is left out, which a worker's status says, and read once that is granted",
        unreadable,
        recovery=30.0,
    ),
)
