"""Topics that change under a worker: deleted, made anew, grown, forbidden. The others go on."""

import asyncio

import pytest

from dev.admin import Admin
from tests.integration.conftest import StartWorker
from tests.integration.support.database import stored
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, until

SOON = 12
"""Seconds within which the other topics must go on."""

COMMIT_INTERVAL = 1.0
"""Of the worker, in seconds."""

QUICK = {"partitions": 2, "session_timeout": 6, "discovery_interval": 0.5}


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_topic_deleted_before_its_last_commit_holds_nobody_up(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
    workers: int,
) -> None:
    kept, deleted = f"{prefix}completed0", f"{prefix}completed1"
    for topic in (kept, deleted):
        await admin.create_topic(topic)
    running = [await worker(**QUICK) for _ in range(workers)]
    records = Records(11)
    async with producer(kafka_url) as kafka:
        await kafka.records(kept, records.many(10))
        await kafka.records(deleted, records.many(10))
        await drained(admin, prefix, kept, deleted)

        await kafka.records(deleted, records.many(50))
        # Time to route them, and not to commit them.
        await asyncio.sleep(COMMIT_INTERVAL / 5)
        await admin.delete_topics(deleted)
        last = records.many(10)
        await kafka.records(kept, last)

        async def arrived() -> bool:
            found = await stored(couchdb_url, database)
            return all(f"{one['namespace']}/{one['activationId']}" in found for one in last)

        await until(arrived, "records of the other topic are stored", within=SOON)
        await drained(admin, prefix, kept, within=SOON)
    for one in running:
        assert await asyncio.to_thread(one.terminate) == 0
