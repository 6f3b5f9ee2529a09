"""From a simulated OpenWhisk through the real Kafka and a worker to the database."""

import json
from collections.abc import AsyncIterator
from itertools import islice
from typing import Any

import pytest

from app.kafka.topics import TopicNames, completed_topic
from app.settings import KafkaSettings, LogMode
from dev.admin import Admin
from dev.traffic import (
    Mix,
    Setup,
    Simulation,
    Sizes,
    Traffic,
    ensure_topics,
    miscounted,
    prefill,
)
from dev.traffic.events import Ran
from dev.traffic.setup import STORE_EVERYTHING
from dev.worker import environment
from models.activation import Activation, ActivationResponse
from models.instances import InvokerInstance
from models.transid import TransactionId
from openwhisk.acknowledgements import Acknowledgements
from openwhisk.invoker import Invoker
from openwhisk.publisher import Publisher
from openwhisk.store import (
    InvokerRecords,
    KafkaActivationStore,
    NotStored,
    StoreRole,
    ensure_store_topic,
)
from tests.integration.support.commands import run_module
from tests.integration.support.database import stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import read_topic
from tests.integration.support.waiting import drained, status

EVENTS = 500
MIX = Mix(unrunnable=0.03, chatty=0.002, duplicates=0.03, divergent=0.01, junk=0.03, failures=0.2)
SIZES = Sizes(near_limit=0.004, oversized=0.004)
SMALL = 4096
LINES = ["2026-01-02T03:04:05.678901234Z stdout: one"]


@pytest.fixture
def kafka(kafka_url: str) -> KafkaSettings:
    return KafkaSettings(PERSISTER_KAFKA_URL=kafka_url)


@pytest.fixture
async def publisher(kafka: KafkaSettings) -> AsyncIterator[Publisher]:
    connected = Publisher(kafka, deadline=10)
    await connected.start()
    yield connected
    await connected.stop()


SETUPS = {
    "invoker's store off": (LogMode.SEPARATE, InvokerRecords.UNCARRIED, "completed-others"),
    "invoker's store on": (LogMode.SEPARATE, InvokerRecords.ALL, "completed-others"),
    "older topic name": (LogMode.SEPARATE, InvokerRecords.UNCARRIED, "completed-non-blocking"),
    "logs in the record": (LogMode.IN_RECORD, InvokerRecords.UNCARRIED, "completed-others"),
}


@pytest.mark.parametrize("log_mode, records, others", SETUPS.values(), ids=SETUPS)
async def test_every_activation_is_one_document_in_every_setup(
    worker: StartWorker,
    admin: Admin,
    kafka: KafkaSettings,
    publisher: Publisher,
    couchdb_url: str,
    prefix: str,
    database: str,
    log_mode: LogMode,
    records: InvokerRecords,
    others: str,
) -> None:
    setup = Setup(log_mode, records, TopicNames(prefix, others))
    await ensure_topics(publisher, setup, kafka)
    running = await worker(partitions=4, log_mode=log_mode.value)
    traffic = Traffic(setup, seed=13, mix=MIX, sizes=SIZES)
    ran = [event for event in islice(traffic, EVENTS) if isinstance(event, Ran)]
    assert any(event.blocking and event.oversized for event in ran)

    summary = await Simulation(traffic, publisher, count=EVENTS).run()

    assert not summary.failures
    await drained(admin, prefix, *setup.read_topics)
    documents = await stored(couchdb_url, database)
    assert not summary.ledger.differences(documents.values())
    assert {document["_rev"][:2] for document in documents.values()} == {"1-"}
    assert miscounted(summary.ledger, (await status(running))["outcomes"]) == {}


async def test_a_backlog_is_stored(
    worker: StartWorker,
    admin: Admin,
    kafka: KafkaSettings,
    publisher: Publisher,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic = f"{prefix}completed-others"
    await ensure_store_topic(publisher, topic, kafka)
    ids = await prefill(publisher, topic, 3000)
    await worker(partitions=4)
    await drained(admin, prefix, topic)
    assert set(await stored(couchdb_url, database)) == set(ids)


def activation(size: int) -> Activation:
    return Activation(
        namespace="guest",
        name="hello",
        subject="guest-subject",
        activation_id="000000010123456789abcdef01234567",
        start=1767325445123,
        end=1767325445210,
        response=ActivationResponse(status_code=0, result={"body": "x" * size}),
        logs=[],
        version="0.0.1",
        publish=False,
        annotations={"path": "guest/hello", "kind": "nodejs:20"},
        duration=87,
    )


TRANSID = TransactionId(id="Zb3Hq1XkT0fWm8aL5rYc2NvUe7PdGs4J", start=1767325444990)


async def no_logs() -> list[str]:
    return []


async def messages(kafka_url: str, topic: str) -> list[Any]:
    return [json.loads(record.value) for record in await read_topic(kafka_url, topic)]


@pytest.mark.usefixtures("admin")
async def test_a_record_that_the_topic_of_acknowledgements_refuses_reaches_the_store(
    kafka: KafkaSettings, publisher: Publisher, kafka_url: str, prefix: str
) -> None:
    topics = TopicNames(prefix)
    store = KafkaActivationStore(
        publisher, StoreRole.INVOKER, LogMode.SEPARATE, topics, rules=STORE_EVERYTHING
    )
    await publisher.ensure_topic(completed_topic(topics.completed("0"), SMALL))
    await ensure_store_topic(publisher, store.topic, kafka)
    invoker = Invoker(
        InvokerInstance(instance=0, user_memory="1024 MB"),
        Acknowledgements(publisher, topics),
        store,
        LogMode.SEPARATE,
    )
    large = activation(size=2 * SMALL)
    await invoker.ran(TRANSID, large, blocking=True, controller="0", collect_logs=no_logs)
    [acknowledgement] = await messages(kafka_url, topics.completed("0"))
    [result] = await messages(kafka_url, store.topic)
    assert acknowledgement["response"] == large.activation_id
    assert result["response"] == large.to_wire()


@pytest.mark.usefixtures("admin")
async def test_the_stores_topic_takes_the_largest_record_and_more_is_an_error(
    kafka_url: str, prefix: str
) -> None:
    kafka = KafkaSettings(PERSISTER_KAFKA_URL=kafka_url, max_record_bytes=2 * 1024 * 1024)
    publisher = Publisher(kafka, deadline=10)
    store = KafkaActivationStore(
        publisher,
        StoreRole.CONTROLLER,
        LogMode.SEPARATE,
        TopicNames(prefix),
        rules=STORE_EVERYTHING,
    )
    assert await ensure_store_topic(publisher, store.topic, kafka)
    assert not await ensure_store_topic(publisher, store.topic, kafka)
    try:
        largest = activation(size=kafka.max_record_bytes - 1000)
        assert await store.store(TRANSID, largest, blocking=False)
        with pytest.raises(NotStored, match="PERSISTER_MAX_RECORD_BYTES"):
            await store.store(TRANSID, activation(size=kafka.max_record_bytes), blocking=False)
    finally:
        await publisher.stop()
    [message] = await messages(kafka_url, store.topic)
    assert message["response"] == largest.to_wire()


async def simulate(kafka_url: str, prefix: str, *options: str) -> tuple[int, str, str]:
    """Run the command; its exit code and what it wrote."""
    done = await run_module(
        *("faust", "-A", "app", "--json", "simulate", *options),
        env=environment({"kafka_url": kafka_url, "topic_prefix": prefix}),
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_the_command_makes_the_topics_and_sends_the_same_for_the_same_seed(
    admin: Admin, kafka_url: str, prefix: str
) -> None:
    status_code, out, err = await simulate(kafka_url, prefix, "--count", "200", "--seed", "5")
    assert status_code == 0, err
    summary = json.loads(out)
    topics = [f"{prefix}{name}" for name in ("completed-others", "completed0", "completed1")]
    assert await admin.topics(prefix) == topics
    for topic in topics:
        assert await admin.end_offsets(topic) == {0: summary["messages"][topic]}

    _, again, _ = await simulate(kafka_url, prefix, "--count", "200", "--seed", "5")
    assert {**json.loads(again), "seconds": 0} == {**summary, "seconds": 0}


async def test_the_command_fills_one_topic_with_plain_records(
    admin: Admin, kafka_url: str, prefix: str
) -> None:
    options = ("--topic", "completed0", "--count", "1500", "--size", "900")
    status_code, out, err = await simulate(kafka_url, prefix, *options)
    assert status_code == 0, err
    assert json.loads(out)["documents"] == 1500
    assert await admin.end_offsets(f"{prefix}completed0") == {0: 1500}
    sizes = {len(record.value) for record in await read_topic(kafka_url, f"{prefix}completed0")}
    assert sizes == {900}


async def test_the_command_says_what_is_wrong(kafka_url: str, prefix: str) -> None:
    status_code, _, err = await simulate(kafka_url, prefix, "--junk", "0.6", "--duplicates", "0.6")
    assert status_code == 2
    assert "must be less than 1 together" in err
    status_code, _, err = await simulate("kafka://127.0.0.1:1", prefix)
    assert status_code == 1
    assert "Kafka at kafka://127.0.0.1:1" in err
