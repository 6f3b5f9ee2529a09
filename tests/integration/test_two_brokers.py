"""Topics that have no copy on another broker, and the broker that has them is away."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.kafka.clients import bootstrap_servers
from dev.kafka import Kafka, install_kafka
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import until

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

    async def create(self, topic: str, broker: int) -> None:
        """Create a topic of one partition that only this broker has: 1 or 2."""
        client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(self.first.url))
        await client.start()
        try:
            answer = await client.create_topics(
                [NewTopic(topic, -1, -1, replica_assignments={0: [broker]})]
            )
            assert [error for _, error, *_ in answer.topic_errors] == [0]
        finally:
            await client.close()


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
