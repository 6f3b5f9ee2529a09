"""One activation, one document: what comes again is not written again."""

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp

from dev.admin import Admin
from models.dead_letter import DeadLetter
from tests.integration.conftest import StartWorker
from tests.integration.support.database import all_stored, assert_holds
from tests.integration.support.kafka import producer, read_topic
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, outcomes, status, until


async def test_what_was_stored_before_a_restart_is_not_sent_to_the_database_again(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic = f"{prefix}completed-others"
    await admin.create_topic(topic)
    running = await worker(partitions=4, session_timeout=2)
    records = Records(6).many(500)
    async with producer(kafka_url) as kafka:
        await kafka.records(topic, records)
        await drained(admin, prefix, topic)
        for end in (running.terminate, running.kill):
            await asyncio.to_thread(end)
            await asyncio.to_thread(running.start)
            await kafka.records(topic, records)
            await drained(admin, prefix, topic)
            shown = (await status(running))["database"]
            assert (shown["documents_written"], shown["conflicts_read_back"]) == (0, 0)
            assert await outcomes(running) == Counter(
                {("route", "routed", ""): 500, ("store", "duplicate", "guard"): 500}
            )
        await assert_holds(couchdb_url, database, kafka.expected)


async def test_the_same_record_on_two_topics_is_one_write_and_another_one_is_divergent(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topics = [f"{prefix}completed0", f"{prefix}completed-others"]
    for topic in topics:
        await admin.create_topic(topic)
    running = await worker(partitions=4, session_timeout=3)
    records = Records(7).many(300)
    now = int(time.time() * 1000)
    async with producer(kafka_url) as kafka:
        for begin in range(0, 300, 100):
            for topic in topics:
                await kafka.records(topic, records[begin : begin + 100], timestamp=now)
        await drained(admin, prefix, *topics)
        different = [record | {"subject": "secret-subject", "end": 0} for record in records[:5]]
        await kafka.records(topics[0], different)
        # Not the guard's business, but the same record: its keys are in another order.
        await kafka.records(topics[1], [dict(reversed(one.items())) for one in records[-5:]])
        # In one chunk: the second of a kind is compared with the first.
        fresh = Records(8).many(5)
        await kafka.records(topics[0], [*fresh, *(one | {"publish": True} for one in fresh)])
        await drained(admin, prefix, *topics)
        await assert_holds(couchdb_url, database, kafka.expected)

    ended = await outcomes(running)
    assert ended == Counter(
        {
            ("route", "routed", ""): 620,
            ("store", "stored", ""): 305,
            ("store", "duplicate", "guard"): 300,
            ("store", "duplicate", "database"): 5,
            ("store", "dead-lettered", "divergent"): 10,
        }
    )
    shown = (await status(running))["database"]
    assert shown["documents_written"] == 305
    kept = [
        DeadLetter.from_record(record.key, record.value, record.headers)
        for record in await read_topic(kafka_url, f"{prefix}persister-dead-letters")
    ]
    assert Counter(one.reason.value for one in kept) == {"divergent": 10}
    assert {one.key for one in kept} == {
        record["activationId"].encode() for record in [*different, *fresh]
    }
    changed = next(one for one in kept if one.key == different[0]["activationId"].encode())
    assert "subject" in changed.detail
    assert "secret" not in changed.detail + running.log()


async def test_two_deployments_of_one_app_id_are_kept_apart(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    """They share a group and the guard's table: each reads its own topics, and relies on its own
    entries, also of records that the other one has stored."""
    deployments = [(f"{prefix}{name}-", f"{database}-{name}") for name in ("a", "b")]
    records = [Records(seed).many(50) for seed in (51, 52)]
    try:
        for topics, _ in deployments:
            await admin.create_topic(f"{topics}completed0")
        await asyncio.gather(
            *(
                worker(topic_prefix=topics, database=name, partitions=2, session_timeout=3)
                for topics, name in deployments
            )
        )
        async with producer(kafka_url) as kafka:
            for group in (records, records[::-1]):
                for (topics, name), sent in zip(deployments, group, strict=True):
                    await kafka.records(f"{topics}completed0", sent)

                    async def there(name: str = name, sent: list[dict[str, Any]] = sent) -> bool:
                        return await all_stored(couchdb_url, name, sent)

                    await until(there, f"{name} holds what was sent to it")
    finally:
        async with aiohttp.ClientSession() as http:
            for _, name in deployments:
                await http.delete(f"{couchdb_url}/{name}")


async def test_a_second_deployment_of_one_group_and_topics_is_refused(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    """With a database of its own; each would store a part of the records."""
    topic, other = f"{prefix}completed0", f"{database}-other"
    await admin.create_topic(topic)
    quick = {"partitions": 2, "session_timeout": 3}
    running = await worker(**quick)
    try:
        second = await worker(ready=False, database=other, **quick)
        async with producer(kafka_url) as kafka:
            await kafka.records(topic, Records(53).many(50))
            assert await asyncio.to_thread(second.wait, timeout=60) == 2
            told = [line for line in second.log().splitlines() if "PERSISTER_APP_ID" in line]
            assert len(told) == 1
            assert "Traceback" not in second.log()
            await kafka.records(topic, Records(54).many(50))
            await drained(admin, prefix, topic)
            await assert_holds(couchdb_url, database, kafka.expected)
        # To move is another matter.
        await asyncio.to_thread(running.terminate)
        await worker(database=other, **quick)
    finally:
        async with aiohttp.ClientSession() as http:
            await http.delete(f"{couchdb_url}/{other}")
