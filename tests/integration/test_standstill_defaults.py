"""A broker as Kafka comes, which makes every topic that somebody asks for, in its own way."""

import asyncio
from collections.abc import Iterator

import pytest

from dev.admin import admin as connect_admin
from dev.kafka import Kafka, kafka
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, until

ENDED_WITHIN = 30
SOON = 25


@pytest.fixture(scope="module")
def willing() -> Iterator[Kafka]:
    with kafka(settings={"auto.create.topics.enable": "true"}) as running:
        yield running


async def test_own_topics_that_kafka_made_by_itself_are_put_right_by_the_next_start(
    worker: StartWorker, willing: Kafka, couchdb_url: str, prefix: str, database: str
) -> None:
    topic, records = f"{prefix}completed0", Records(41)
    own = [f"{prefix}persister-{which}" for which in ("documents", "guard-changelog")]
    settings = {"kafka_url": willing.url, "partitions": 2, "session_timeout": 6}
    async with connect_admin(willing.url) as admin, producer(willing.url) as sending:
        await admin.create_topic(topic)
        running = await worker(**settings)
        await sending.records(topic, records.many(10))
        await drained(admin, prefix, topic)
        for name in own:
            await admin.delete_topics(name)
        assert await asyncio.to_thread(running.wait, ENDED_WITHIN) == 1
        assert "is gone from Kafka" in running.log().splitlines()[-1]

        started = await worker(**settings)
        assert "auto.create.topics.enable" in started.log()
        fresh = records.many(10)
        await sending.records(topic, fresh)
        await until(lambda: all_stored(couchdb_url, database, fresh), "stored", within=SOON)
        await drained(admin, prefix, topic)
        assert [len(await admin.end_offsets(name)) for name in own] == [2, 2]
