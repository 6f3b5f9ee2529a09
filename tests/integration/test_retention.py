"""Records that Kafka deletes: the worker warns before, and counts them afterwards."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client.parser import text_string_to_metric_families

from app.kafka.admin import Admin as KafkaAdmin
from app.kafka.admin import open_admin
from app.kafka.clients import bootstrap_servers
from app.kafka.reader import TopicPartition
from app.settings import KafkaSettings
from dev.admin import Admin
from dev.couchdb import CouchDB, couchdb
from dev.worker import Worker
from tests.integration.support.database import stored
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.liar import liar
from tests.integration.support.records import Records
from tests.integration.support.waiting import status, until

DAY = 86_400


@pytest.fixture
async def client(kafka_url: str) -> AsyncIterator[KafkaAdmin]:
    async with open_admin(KafkaSettings(url=kafka_url)) as connected:
        yield connected


@pytest.fixture
def own_couchdb() -> Iterator[CouchDB]:
    """A database that a test may stop."""
    with couchdb() as running:
        yield running


async def delete_before(client: KafkaAdmin, topic: str, number: int, offset: int) -> None:
    """What Kafka's retention does, at once."""
    await client.delete_records({TopicPartition(topic, number): offset})


async def test_what_was_deleted_while_no_worker_ran_is_reported_once(
    deployment: Deployment, kafka: Producer, client: KafkaAdmin
) -> None:
    topic = await deployment.topic("completed-others")
    first = await deployment.worker(partitions=4, session_timeout=3)
    records = Records(41).many(30)
    await kafka.records(topic, records[:10])
    await deployment.drained(topic)
    first.terminate()
    await kafka.records(topic, records[10:])
    await delete_before(client, topic, 0, 25)
    second = await deployment.worker(partitions=4, session_timeout=3)
    await deployment.drained(topic)
    assert f"Lost 15 records of {topic}/0" in second.log()
    assert (await status(second))["outcomes"]["lost_to_retention"] == {topic: 15}
    assert len(await deployment.stored()) == 15
    metrics = metric(second, "persister_records_lost_to_retention_total")
    assert {labels: count for labels, count in metrics.items() if count} == {
        (("topic", topic),): 15
    }


async def test_a_loss_of_everything_is_not_counted_again_at_the_next_start(
    deployment: Deployment, kafka: Producer, client: KafkaAdmin
) -> None:
    topic = await deployment.topic("completed-others")
    first = await deployment.worker(partitions=4, session_timeout=3)
    records = Records(42).many(30)
    await kafka.records(topic, records[:10])
    await deployment.drained(topic)
    first.terminate()
    await kafka.records(topic, records[10:])
    await delete_before(client, topic, 0, 30)
    second = await deployment.worker(partitions=4, session_timeout=3)
    await deployment.drained(topic)
    second.terminate()
    third = await deployment.worker(partitions=4, session_timeout=3)
    assert (second.log().count("Lost 20 records"), third.log().count("Lost ")) == (1, 0)


async def test_a_loss_of_everything_while_kafka_is_out_of_reach_is_told_without_a_restart(
    deployment: Deployment, kafka: Producer, client: KafkaAdmin
) -> None:
    topic, records = await deployment.topic("completed-others"), Records(44)
    async with liar(deployment.kafka_url) as broker:
        running = await deployment.worker(partitions=1, kafka_url=broker.url)
        await kafka.records(topic, records.many(10))
        await deployment.drained(topic)
        broker.away = True
        broker.disconnect()
        await kafka.records(topic, records.many(20))
        await delete_before(client, topic, 0, 30)
        broker.away = False
        await deployment.drained(topic)
        assert (await status(running))["outcomes"]["lost_to_retention"] == {topic: 20}
        assert f"Lost 20 records of {topic}/0" in running.log()


async def test_a_topic_that_is_recreated_while_kafka_is_out_of_reach_is_read_from_its_start(
    deployment: Deployment, kafka: Producer, client: KafkaAdmin
) -> None:
    topic, records = await deployment.topic("completed-others"), Records(45)
    async with liar(deployment.kafka_url) as broker:
        running = await deployment.worker(partitions=1, kafka_url=broker.url, discovery_interval=1)
        await kafka.records(topic, records.many(10))
        await deployment.drained(topic)
        # It knows the topic once it has looked for topics, and all positions once it reads another.
        found = await deployment.topic("completed1")
        await kafka.records(found, records.many(1))
        await deployment.drained(found)
        broker.away = True
        broker.disconnect()
        await client.delete([topic])
        await deployment.topic("completed-others")
        sent = records.many(20)
        await kafka.records(topic, sent)
        broker.away = False
        await until(lambda: deployment.all_stored(sent), "all of the new topic is stored")
        assert f"{topic}/0 was deleted and re-created" in running.log()


async def test_a_topic_that_is_recreated_while_its_breaker_is_open_is_read_from_its_start(
    deployment: Deployment, kafka: Producer, client: KafkaAdmin
) -> None:
    """It is not fetched, and nobody else looks for its id: who asks is whoever reads on in it."""
    topic, records = await deployment.topic("completed-others"), Records(47)
    async with liar(deployment.kafka_url) as broker:
        running = await deployment.worker(
            partitions=1,
            kafka_url=broker.url,
            discovery_interval=600,
            breaker_minimum=50,
            breaker_cooldown=6,
        )
        await kafka.send_all(topic, [b"no json"] * 60)

        async def held() -> bool:
            return topic in (await status(running))["breaker"]

        await until(held, "the breaker opens")
        await deployment.drained(topic)
        broker.away = True
        broker.disconnect()
        await client.delete([topic])
        await deployment.topic("completed-others")
        sent = records.many(100)
        await kafka.records(topic, sent)
        broker.away = False
        await until(lambda: deployment.all_stored(sent), "all of the new topic is stored")
        assert running.log().count(f"{topic}/0 was deleted and re-created: the group rejoins") == 1


async def test_an_offset_that_outlives_its_topic_is_not_taken_for_one_of_the_next_topic(
    deployment: Deployment, kafka: Producer, client: KafkaAdmin
) -> None:
    """Kafka takes a commit that comes late, and a coordinator that was away keeps what it has."""
    topic, records = await deployment.topic("completed-others"), Records(46)
    first = await deployment.worker(partitions=1, session_timeout=3)
    await kafka.records(topic, records.many(10))
    await deployment.drained(topic)
    assert await asyncio.to_thread(first.terminate) == 0
    tp = TopicPartition(topic, 0)
    async with in_group(deployment) as member:
        outliving = await member._coordinator.fetch_committed_offsets([tp])
        assert outliving[tp].offset == 10
        await client.delete([topic])
        await deployment.topic("completed-others")

        async def taken() -> bool:
            await member.commit(outliving)
            return await deployment.committed(topic) == {0: 10}

        await until(taken, "Kafka takes the offset for one of the new topic")
    sent = records.many(20)
    await kafka.records(topic, sent)
    second = await deployment.worker(partitions=1, session_timeout=3)
    await until(lambda: deployment.all_stored(sent), "all of the new topic is stored")
    assert f"{topic}/0 was deleted and re-created since it was read up to offset 10" in second.log()
    assert await asyncio.to_thread(second.terminate) == 0
    third = await deployment.worker(partitions=1, session_timeout=3)
    assert "re-created" not in third.log()


@asynccontextmanager
async def in_group(deployment: Deployment) -> AsyncIterator[AIOKafkaConsumer]:
    """Another client that commits for the group, which has no members just then."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(deployment.kafka_url),
        group_id=deployment.group,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(f"{deployment.prefix}completed-others", 0)])
        yield consumer
    finally:
        await consumer.stop()


async def test_a_worker_warns_of_unread_records_and_counts_those_that_are_lost_while_it_runs(
    deployment: Deployment, kafka: Producer, own_couchdb: CouchDB, client: KafkaAdmin
) -> None:
    topic, documents = f"{deployment.prefix}completed-others", deployment.documents
    await deployment.admin.create_topic(topic)
    settings = {
        "partitions": 1,
        "session_timeout": 3,
        "couchdb_url": own_couchdb.url,
        "in_flight_documents": 1,
        "shutdown_deadline": 1,
        "retention_warning": 1,
    }
    first = await deployment.worker(**settings)
    records = Records(43)
    await kafka.records(topic, records.many(10))
    await deployment.drained(topic)
    own_couchdb.stop()
    await kafka.records(topic, records.many(50))
    await until(partial(holds, deployment.admin, documents, 60), "they are routed")
    first.terminate()
    # It is not ready before the database is there.
    running = await deployment.worker(ready=False, **settings)

    async def told() -> bool:
        with suppress(OSError, KeyError):  # it is starting
            return bool(await left(running, documents))
        return False

    await until(told, "the worker says how long Kafka keeps them")
    seconds = await left(running, documents)
    assert 7 * DAY - 300 < (seconds or 0) < 7 * DAY
    shown = metric(running, "persister_retention_seconds_left")
    assert shown[("partition", "0"), ("topic", documents)] == pytest.approx(seconds, abs=10)
    assert running.log().count(f"Kafka may delete unread records of {documents} soon") == 1

    # Each list of records is fetched alone: some wait in the worker, all others in Kafka.
    for end in range(110, 610, 50):
        await kafka.records(topic, records.many(50))
        await until(partial(holds, deployment.admin, documents, end), "they are routed")
    await delete_before(client, documents, 0, 555)
    own_couchdb.start()
    await deployment.drained(topic)
    kept = len(await stored(own_couchdb.url, deployment.database))
    assert kept < 560
    assert (await status(running))["outcomes"]["lost_to_retention"] == {documents: 560 - kept}
    assert f"Lost {560 - kept} records of {documents}/0" in running.log()
    assert await left(running, documents) is None


async def test_an_own_topic_that_endangers_records_is_reported_at_the_start(
    deployment: Deployment,
) -> None:
    documents = deployment.documents
    await deployment.admin.create_topic(
        documents, 2, retention_ms="60000", retention_bytes="1000000", cleanup_policy="compact"
    )
    log = (await deployment.worker(partitions=2, session_timeout=3)).log()
    for key in ("retention.ms", "retention.bytes", "cleanup.policy", "max.message.bytes"):
        assert log.count(f"{documents} has {key}=") == 1
    assert "PERSISTER_DOCUMENTS_RETENTION" in log


async def holds(admin: Admin, topic: str, count: int) -> bool:
    return sum((await admin.end_offsets(topic)).values()) == count


async def left(worker: Worker, topic: str) -> float | None:
    shown: float | None = (await status(worker))["topics"][topic]["0"]["deleted_in_seconds"]
    return shown


def metric(worker: Worker, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=5)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }
