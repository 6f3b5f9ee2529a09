"""One activation, one document: what comes again is not written again."""

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer

from app.kafka.clients import bootstrap_servers
from app.storing.guard.entries import HEADER, most_entries
from models.dead_letter import DeadLetter
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer, read_topic
from tests.integration.support.records import Records
from tests.integration.support.waiting import outcomes, status, until


async def test_what_was_stored_before_a_restart_is_not_sent_to_the_database_again(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed-others")
    running = await deployment.worker(partitions=4, session_timeout=2)
    records = Records(6).many(500)
    await kafka.records(topic, records)
    await deployment.drained(topic)
    for end in (running.terminate, running.kill):
        await asyncio.to_thread(end)
        await asyncio.to_thread(running.start)
        await kafka.records(topic, records)
        await deployment.drained(topic)
        shown = (await status(running))["database"]
        assert (shown["documents_written"], shown["conflicts_read_back"]) == (0, 0)
        assert await outcomes(running) == Counter(
            {("route", "routed", ""): 500, ("store", "duplicate", "guard"): 500}
        )
    await deployment.holds_what_was_sent()


async def test_the_same_record_on_two_topics_is_one_write_and_another_one_is_divergent(
    deployment: Deployment, kafka: Producer
) -> None:
    topics = await deployment.topics("completed0", "completed-others")
    running = await deployment.worker(partitions=4, session_timeout=3)
    records = Records(7).many(300)
    now = int(time.time() * 1000)
    for begin in range(0, 300, 100):
        for topic in topics:
            await kafka.records(topic, records[begin : begin + 100], timestamp=now)
    await deployment.drained(*topics)
    different = [record | {"subject": "secret-subject", "end": 0} for record in records[:5]]
    await kafka.records(topics[0], different)
    # Not the guard's business, but the same record: its keys are in another order.
    await kafka.records(topics[1], [dict(reversed(one.items())) for one in records[-5:]])
    # In one chunk: the second of a kind is compared with the first.
    fresh = Records(8).many(5)
    await kafka.records(topics[0], [*fresh, *(one | {"publish": True} for one in fresh)])
    await deployment.drained(*topics)
    await deployment.holds_what_was_sent()

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
        for record in await deployment.dead_letters()
    ]
    assert Counter(one.reason.value for one in kept) == {"divergent": 10}
    assert {one.key for one in kept} == {
        record["activationId"].encode() for record in [*different, *fresh]
    }
    changed = next(one for one in kept if one.key == different[0]["activationId"].encode())
    assert "subject" in changed.detail
    assert "secret" not in changed.detail + running.log()


async def test_two_deployments_of_one_app_id_are_kept_apart(
    deployment: Deployment, kafka: Producer
) -> None:
    """They share a group and the guard's table: each reads its own topics, and relies on its own
    entries, also of records that the other one has stored."""
    deployments = [
        (f"{deployment.prefix}{name}-", f"{deployment.database}-{name}") for name in ("a", "b")
    ]
    records = [Records(seed).many(50) for seed in (51, 52)]
    try:
        for topics, _ in deployments:
            await deployment.admin.create_topic(f"{topics}completed0")
        await asyncio.gather(
            *(
                deployment.worker(
                    topic_prefix=topics, database=name, partitions=2, session_timeout=3
                )
                for topics, name in deployments
            )
        )
        for group in (records, records[::-1]):
            for (topics, name), sent in zip(deployments, group, strict=True):
                await kafka.records(f"{topics}completed0", sent)

                async def there(name: str = name, sent: list[dict[str, Any]] = sent) -> bool:
                    return await all_stored(deployment.couchdb_url, name, sent)

                await until(there, f"{name} holds what was sent to it")
    finally:
        async with aiohttp.ClientSession() as http:
            for _, name in deployments:
                await http.delete(f"{deployment.couchdb_url}/{name}")


async def test_a_second_deployment_of_one_group_and_topics_is_refused(
    deployment: Deployment, kafka: Producer
) -> None:
    """With a database of its own; each would store a part of the records."""
    topic, other = f"{deployment.prefix}completed0", f"{deployment.database}-other"
    await deployment.admin.create_topic(topic)
    quick = {"partitions": 2, "session_timeout": 3}
    running = await deployment.worker(**quick)
    try:
        second = await deployment.worker(ready=False, database=other, **quick)
        await kafka.records(topic, Records(53).many(50))
        assert await asyncio.to_thread(second.wait, timeout=60) == 2
        told = [line for line in second.log().splitlines() if "PERSISTER_APP_ID" in line]
        assert len(told) == 1
        assert "Traceback" not in second.log()
        await kafka.records(topic, Records(54).many(50))
        await deployment.drained(topic)
        await deployment.holds_what_was_sent()
        # To move is another matter.
        await asyncio.to_thread(running.terminate)
        await deployment.worker(database=other, **quick)
    finally:
        async with aiohttp.ClientSession() as http:
            await http.delete(f"{deployment.couchdb_url}/{other}")


async def test_a_transaction_in_the_changelog_keeps_no_worker_from_starting(
    deployment: Deployment, kafka: Producer, kafka_url: str
) -> None:
    topic = await deployment.topic("completed0")
    running = await deployment.worker(partitions=1, session_timeout=2)
    records = Records(9).many(20)
    await kafka.records(topic, records)
    await deployment.drained(topic)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(kafka_url), transactional_id=f"{deployment.prefix}tx"
    ) as client:
        for value in (b"aborted", b"committed"):
            await client.begin_transaction()
            changelog = f"{deployment.group}-guard-changelog"
            await client.send_and_wait(changelog, value, key=b"junk", partition=0)
            await (client.abort_transaction if value == b"aborted" else client.commit_transaction)()
    await asyncio.to_thread(running.terminate)
    await asyncio.to_thread(running.start)
    await kafka.records(topic, records)
    await deployment.drained(topic)
    shown = (await status(running))["database"]
    assert (shown["documents_written"], shown["conflicts_read_back"]) == (0, 0)


async def test_of_more_than_the_guard_may_remember_by_now_the_newest_is_remembered(
    deployment: Deployment, kafka: Producer, kafka_url: str
) -> None:
    topic = await deployment.topic("completed0")
    running = await deployment.worker(partitions=1, session_timeout=2, guard_records=100)
    records = Records(10).many(20)
    await kafka.records(topic, records)
    await deployment.drained(topic)
    await asyncio.to_thread(running.terminate)

    changelog = f"{deployment.group}-guard-changelog"
    *_, newest = [one for one in await read_topic(kafka_url, changelog) if one.value]
    begun, tag = HEADER.unpack_from(newest.value)
    most, _ = most_entries(100)
    for number in range(2 * most):
        older = HEADER.pack(begun - 60, tag) + number.to_bytes(16)
        await kafka.send(changelog, older, key=b'"0/%d"' % (1000 + number))
    await kafka.send(changelog, None, key=newest.key)
    await kafka.send(changelog, newest.value, key=b'"0/999"')

    await asyncio.to_thread(running.start)
    await kafka.records(topic, records)
    await deployment.drained(topic)
    shown = (await status(running))["database"]
    assert (shown["documents_written"], shown["conflicts_read_back"]) == (0, 0)
    assert (await outcomes(running))["store", "duplicate", "guard"] == 20
