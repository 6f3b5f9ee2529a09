"""Topics that change under a worker: deleted, re-created, grown, forbidden. The others go on."""

import asyncio

import pytest

from dev.admin import Admin
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import Deployment, StartWorker
from tests.integration.support.kafka import Producer, producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, until

SOON = 12
"""Seconds within which the other topics must go on."""

COMMIT_INTERVAL = 1.0
"""Of the worker, in seconds."""

QUICK = {"partitions": 2, "session_timeout": 6, "discovery_interval": 0.5}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_topic_deleted_before_its_last_commit_holds_nobody_up(
    deployment: Deployment, kafka: Producer, workers: int
) -> None:
    kept, deleted = await deployment.topics("completed0", "completed1")
    running = [await deployment.worker(**QUICK) for _ in range(workers)]
    records = Records(11)
    await kafka.records(kept, records.many(10))
    await kafka.records(deleted, records.many(10))
    await deployment.drained(kept, deleted)

    await kafka.records(deleted, records.many(50))
    # Time to route them, and not to commit them.
    await asyncio.sleep(COMMIT_INTERVAL / 5)
    await deployment.admin.delete_topics(deleted)
    last = records.many(10)
    await kafka.records(kept, last)
    await until(lambda: deployment.all_stored(last), "all is stored", within=SOON)
    await deployment.drained(kept, within=SOON)
    for one in running:
        assert await asyncio.to_thread(one.terminate) == 0


async def test_topics_that_were_made_again_or_have_grown_are_read_soon(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    again, grown = f"{prefix}completed0", f"{prefix}completed1"
    for topic in (again, grown):
        await admin.create_topic(topic)
    await worker(**QUICK)
    records = Records(12)
    async with producer(kafka_url) as kafka:
        await kafka.records(again, records.many(10))
        await kafka.records(grown, records.many(10))
        await drained(admin, prefix, again, grown)

    await admin.delete_topics(again)
    await admin.create_topic(again)
    await admin.grow_topic(grown, 3)
    # A client of its own, which knows what there is now.
    async with producer(kafka_url) as kafka:
        fresh = records.many(15)
        await kafka.records(again, fresh)
        for partition in range(3):
            more = records.many(5)
            fresh += more
            await kafka.records(grown, more, partition=partition)
        await until(lambda: all_stored(couchdb_url, database, fresh), "all is stored", within=SOON)


@pytest.mark.parametrize("which", ["documents", "guard-changelog"])
async def test_a_worker_whose_own_topic_is_gone_ends_and_the_next_one_makes_it_again(
    deployment: Deployment, kafka: Producer, which: str
) -> None:
    topic = await deployment.topic("completed0")
    running = await deployment.worker(**QUICK)
    records = Records(13)
    await kafka.records(topic, records.many(10))
    await deployment.drained(topic)
    await deployment.admin.delete_topics(f"{deployment.prefix}persister-{which}")
    assert await asyncio.to_thread(running.wait, 20) == 1
    last = running.log().splitlines()[-1]
    assert f"{deployment.prefix}persister-{which} is gone from Kafka" in last

    await deployment.worker(**QUICK)
    fresh = records.many(10)
    await kafka.records(topic, fresh)
    await until(lambda: deployment.all_stored(fresh), "all is stored", within=SOON)


async def test_an_internal_topic_that_grows_ends_the_worker_and_the_next_one_goes_on_with_it(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    running = await worker(**QUICK)
    records = Records(14)
    async with producer(kafka_url) as kafka:
        await kafka.records(topic, records.many(10))
        await drained(admin, prefix, topic)
        await admin.grow_topic(f"{prefix}persister-documents", 4)
        while running.running:  # as long as entries of the guard come
            await kafka.records(topic, records.many(1))
        assert await asyncio.to_thread(running.wait, 20) == 1
        assert "set PERSISTER_PARTITIONS=4" in running.log().splitlines()[-1]
        assert "Traceback" not in running.log()

        following = await worker(**{**QUICK, "partitions": 4})
        fresh = records.many(20)
        await kafka.records(topic, fresh)
        await until(lambda: all_stored(couchdb_url, database, fresh), "all is stored", within=SOON)
    assert "persister-guard-changelog has 4 partitions now instead of 2" in following.log()
    assert await asyncio.to_thread(following.terminate) == 0
