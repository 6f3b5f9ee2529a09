"""A group that does not take a worker: what can pass is tried again, what cannot ends it."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer

from app.kafka.clients import bootstrap_servers
from dev.admin import admin as connect_admin
from dev.kafka import Kafka, kafka
from dev.worker import Worker
from tests.integration.support.deployment import StartWorker
from tests.integration.support.waiting import status, until

ENDED_WITHIN = 20
READY_WITHIN = 20


@pytest.fixture(scope="module")
def strict() -> Iterator[Kafka]:
    """A broker with Kafka's own limits of a session, and room for one member in a group."""
    settings = {"group.min.session.timeout.ms": "6000", "group.max.size": "1"}
    with kafka(settings=settings) as running:
        yield running


async def said(worker: Worker, text: str, *, within: float = ENDED_WITHIN) -> None:
    async def is_there() -> bool:
        return text in worker.log()

    await until(is_there, f"the log says {text!r}", within=within)


async def ready(worker: Worker) -> None:
    await asyncio.to_thread(worker.wait_until_ready, READY_WITHIN)


async def test_a_session_timeout_that_the_broker_refuses_ends_the_worker(
    worker: StartWorker, strict: Kafka
) -> None:
    started = await worker(ready=False, kafka_url=strict.url, partitions=1, session_timeout=2)
    assert await asyncio.to_thread(started.wait, ENDED_WITHIN) == 1
    log = started.log()
    assert "PERSISTER_SESSION_TIMEOUT=2" in log.splitlines()[-1]
    assert "Traceback" not in log


async def test_a_worker_joins_once_the_member_of_another_application_has_left(
    worker: StartWorker, kafka_url: str, prefix: str
) -> None:
    topic = f"{prefix}other"
    async with connect_admin(kafka_url) as admin:
        await admin.create_topic(topic)
    other = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers(kafka_url), group_id=f"{prefix}persister"
    )
    await other.start()
    try:
        started = await worker(ready=False, partitions=1, session_timeout=6)
        await said(started, "a member of another application")
        assert started.running
    finally:
        await other.stop()
    await ready(started)
    lines = [line for line in started.log().splitlines() if "Not ready" not in line]
    assert sum("a member of another application" in line for line in lines) == 1


async def test_a_worker_joins_once_a_full_group_has_room(
    worker: StartWorker, strict: Kafka
) -> None:
    settings = {"kafka_url": strict.url, "partitions": 1, "session_timeout": 6}
    first = await worker(**settings)
    second = await worker(ready=False, **settings)
    await said(second, "is full")

    async def named() -> bool:
        return "is full: end a worker" in ((await status(second))["not_ready"] or "")

    await until(named, "named in what is not ready", within=READY_WITHIN)
    await asyncio.to_thread(first.terminate)
    await ready(second)


async def test_of_two_workers_with_one_instance_id_the_first_ends(worker: StartWorker) -> None:
    settings = {"partitions": 1, "session_timeout": 6, "instance_id": "host-a"}
    first = await worker(**settings)
    second = await worker(**settings)
    assert await asyncio.to_thread(first.wait, ENDED_WITHIN) == 1
    assert "PERSISTER_INSTANCE_ID=host-a" in first.log().splitlines()[-1]
    assert second.running
    await ready(second)
