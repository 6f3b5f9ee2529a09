"""Topics that take less than the worker sends: one record that is too large costs one record."""

import asyncio
import secrets
from typing import Any

import pytest

from dev.admin import Admin
from models.dead_letter import DeadLetter
from tests.integration.support.database import assert_holds
from tests.integration.support.deployment import Deployment, StartWorker
from tests.integration.support.kafka import Producer, producer, read_topic
from tests.integration.support.records import Records, result
from tests.integration.support.waiting import drained, outcomes

KAFKA_DEFAULT = "1048588"
"""The broker's own `max.message.bytes`."""

NARROW = "60000"
"""Smaller than the worker's batches: each of them is refused until they are smaller."""


def large(records: Records, size: int = 3_000_000) -> dict[str, Any]:
    """A record that compression makes no smaller than `size` bytes."""
    return records.one(
        response={"statusCode": 0, "result": {"random": secrets.token_hex(size // 2)}}
    )


@pytest.mark.parametrize("limit", [KAFKA_DEFAULT, NARROW])
async def test_a_record_that_the_internal_topic_refuses_is_one_dead_letter(
    kafka_url: str,
    couchdb_url: str,
    database: str,
    prefix: str,
    admin: Admin,
    worker: StartWorker,
    limit: str,
) -> None:
    topic = f"{prefix}completed-others"
    records = Records(3)
    too_large = [large(records) for _ in range(5)]
    await admin.create_topic(topic, max_message_bytes="20000000")
    await admin.create_topic(f"{prefix}persister-documents", 8, max_message_bytes=limit)
    async with producer(kafka_url) as sender:
        await sender.records(topic, records.many(5))
        await sender.send(topic, result(too_large[0]))
        await sender.records(topic, records.many(2000))
        for record in too_large[1:4]:  # in a row, and wherever their keys lead
            await sender.send(topic, result(record))
        started = await worker(partitions=8)
        await drained(admin, prefix, topic)
        # And while it runs, when every partition has been written to.
        await sender.records(topic, records.many(500))
        await sender.send(topic, result(too_large[4]))
        await sender.records(topic, records.many(500))
        await drained(admin, prefix, topic)
    counts = await outcomes(started)
    assert counts["route", "dead-lettered", "too-large"] == 5
    assert counts["store", "stored", ""] == 3005
    await assert_holds(couchdb_url, database, sender.expected)
    letters = [
        DeadLetter.from_record(kept.key, kept.value, kept.headers)
        for kept in await read_topic(kafka_url, f"{prefix}persister-dead-letters")
    ]
    assert [letter.value for letter in letters] == [result(record) for record in too_large]


async def test_a_dead_letter_topic_that_takes_nothing_ends_the_worker_in_one_line(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed0")
    await deployment.topic("persister-dead-letters", max_message_bytes="100")
    running = await deployment.worker(partitions=1)
    await kafka.send(topic, b"junk")
    assert await asyncio.to_thread(running.wait) == 1
    log = running.log()
    assert (
        f"offset 0 of {topic}/0): raise max.message.bytes of {deployment.prefix}persister-dead"
        in log
    )
    assert "Traceback" not in log
