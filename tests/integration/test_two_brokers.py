"""One of two brokers is away: topics without a leader, and what it does not see meanwhile."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from app.kafka.clients import bootstrap_servers
from dev.admin import admin as connect_admin
from dev.kafka import Kafka, install_kafka
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, until

SOON = 20
"""Seconds within which the other topics must go on: half the time that Kafka's clients wait."""


class Brokers:
    """Two brokers, of which the second one may be away.

    Attributes:
        first: it has the controller.
        second: the other one.
    """

    def __init__(self, folder: Path) -> None:
        homes = [folder / name for name in ("first", "second")]
        for home in homes:
            home.mkdir()
        self.first = Kafka(homes[0])
        self.second = Kafka(homes[1], joins=self.first)
        self._disk, self._copy = homes[1] / "kafka", folder / "copy"

    async def create(self, topic: str, broker: int, **settings: str) -> None:
        """Create a topic of one partition that only this broker has: 1 or 2."""
        wanted = NewTopic(
            topic,
            *(-1, -1),
            replica_assignments={0: [broker]},
            topic_configs={name.replace("_", "."): value for name, value in settings.items()},
        )
        client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(self.first.url))
        await client.start()
        try:
            answer = await client.create_topics([wanted])
            assert [error for _, error, *_ in answer.topic_errors] == [0]
        finally:
            await client.close()

    def copy_disk(self) -> None:
        """Copy what the second broker has on its disk; it must be stopped."""
        shutil.copytree(self._disk, self._copy)

    def restore_disk(self) -> None:
        """Bring back what was copied; the second broker must be stopped."""
        shutil.rmtree(self._disk)
        shutil.copytree(self._copy, self._disk)


@pytest.fixture
async def brokers(tmp_path: Path) -> AsyncIterator[Brokers]:
    install_kafka()
    made = Brokers(tmp_path)
    await asyncio.to_thread(made.first.start)
    try:
        yield made
    finally:
        for broker in (made.second, made.first):
            await asyncio.to_thread(broker.kill)


async def test_a_topic_whose_broker_is_away_holds_no_other_up(
    brokers: Brokers, worker: StartWorker, couchdb_url: str, prefix: str, database: str
) -> None:
    here, there, records = f"{prefix}completed0", f"{prefix}completed1", Records(61)
    await brokers.create(here, 1)
    # Its own topics are made while there is only this broker.
    running = await worker(kafka_url=brokers.first.url, partitions=1, session_timeout=3)
    await asyncio.to_thread(brokers.second.start)
    await brokers.create(there, 2)

    async def stored_of(topic: str) -> None:
        sent = records.many(10)
        async with producer(brokers.first.url) as kafka:
            await kafka.records(topic, sent)
        stored = partial(all_stored, couchdb_url, database, sent)
        await until(stored, f"what {topic} has is stored", within=SOON)

    await stored_of(here)
    await stored_of(there)
    await asyncio.to_thread(brokers.second.stop)
    await stored_of(here)
    assert await asyncio.to_thread(running.terminate) == 0
    await asyncio.to_thread(running.launch)
    await stored_of(here)
    await asyncio.to_thread(brokers.second.start)
    await stored_of(there)
    await stored_of(here)
    assert await asyncio.to_thread(running.terminate) == 0


async def test_a_topic_that_is_recreated_while_the_coordinator_is_away_is_read_from_its_start(
    brokers: Brokers, worker: StartWorker, couchdb_url: str, prefix: str, database: str
) -> None:
    """It keeps what was committed of the old one: Kafka deletes that where it sees the deletion."""
    topic, group, records = f"{prefix}completed0", f"{prefix}persister", Records(62)
    await asyncio.to_thread(brokers.second.start)
    await brokers.create("__consumer_offsets", 2, cleanup_policy="compact")
    await brokers.create(topic, 1)
    running = await worker(kafka_url=brokers.first.url, partitions=1, session_timeout=3)
    async with producer(brokers.first.url) as kafka:
        await kafka.records(topic, records.many(10))
    async with connect_admin(brokers.first.url) as admin:
        await drained(admin, prefix, topic)
        assert await asyncio.to_thread(running.terminate) == 0
        await asyncio.to_thread(brokers.second.stop)
        await admin.delete_topics(topic)
        await brokers.create(topic, 1)
        sent = records.many(20)
        async with producer(brokers.first.url) as kafka:
            await kafka.records(topic, sent)
        await asyncio.to_thread(brokers.second.start)

        async def kept() -> bool:
            with suppress(KafkaError):  # it has just come back
                return await admin.committed(group, topic) == {0: 10}
            return False

        await until(kept, "the coordinator has kept the offset in the old topic")
    await asyncio.to_thread(running.start)
    await until(partial(all_stored, couchdb_url, database, sent), "all of the new topic is stored")
    assert (
        f"{topic}/0 was deleted and re-created since it was read up to offset 10" in running.log()
    )


@pytest.mark.parametrize("written", [200, 5], ids=["longer by then", "still shorter"])
async def test_what_stands_in_the_place_of_records_that_a_broker_has_lost_is_read(
    brokers: Brokers,
    worker: StartWorker,
    couchdb_url: str,
    prefix: str,
    database: str,
    written: int,
) -> None:
    """It comes back with its disk as it was before them, as after a power failure."""
    topic, records = f"{prefix}completed0", Records(63)
    # Its own topics, and the group's offsets, are on the broker that stays.
    running = await worker(kafka_url=brokers.first.url, partitions=1, session_timeout=10)
    await asyncio.to_thread(brokers.second.start)
    await brokers.create(topic, 2)

    async def stored_of(count: int) -> None:
        sent = records.many(count)
        async with producer(brokers.first.url) as kafka:
            await kafka.records(topic, sent)
        await until(partial(all_stored, couchdb_url, database, sent), "what is sent is stored")

    await stored_of(30)
    # A leader that has lost nothing is no news.
    await asyncio.to_thread(brokers.second.stop)
    await asyncio.to_thread(brokers.copy_disk)
    await asyncio.to_thread(brokers.second.start)
    await stored_of(40)
    assert "has lost" not in running.log()
    await asyncio.to_thread(brokers.second.kill)
    await asyncio.to_thread(brokers.restore_disk)
    # A producer waits with its records, and writes them before anybody else has seen the log.
    waiting = asyncio.create_task(stored_of(written))
    await asyncio.to_thread(brokers.second.start)
    await waiting
    said = running.log()
    assert f"{topic}/0 was read up to offset 70, but Kafka has lost its end" in said
    assert "what it has from offset 30 on is new" in said
    assert "re-created" not in said
    async with connect_admin(brokers.first.url) as admin:
        await drained(admin, prefix, topic)
    assert await asyncio.to_thread(running.terminate) == 0
