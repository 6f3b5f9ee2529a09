"""The Kafka that is started here behaves like one that tests of faults can rely on."""

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

from app.kafka.clients import bootstrap_servers
from dev.admin import admin
from dev.kafka import Kafka, kafka
from tests.integration.support.waiting import until

USERS = {"persister": "correct horse"}


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    with kafka(users=USERS) as running:
        yield running


async def write(broker: Kafka, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(broker.url), enable_idempotence=True
    ) as producer:
        await producer.send_and_wait(topic, value)


async def read(broker: Kafka, topic: str, count: int) -> list[bytes | None]:
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers(broker.url),
        auto_offset_reset="earliest",
    ) as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_records_survive_a_stop_and_a_kill(broker: Kafka, prefix: str) -> None:
    topic = f"{prefix}kept"
    async with admin(broker.url) as topics:
        await topics.create_topic(topic, partitions=1)
    await write(broker, topic, b"before the stop")
    broker.stop()
    assert not broker.running
    broker.start()
    await write(broker, topic, b"before the kill")
    broker.kill()
    broker.start()
    await write(broker, topic, b"after")
    assert await read(broker, topic, 3) == [b"before the stop", b"before the kill", b"after"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("password", ["correct horse", "wrong"])
async def test_the_second_listener_asks_for_a_password(
    broker: Kafka, mechanism: str, password: str
) -> None:
    assert broker.sasl_url is not None
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(broker.sasl_url),
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        sasl_plain_username="persister",
        sasl_plain_password=password,
    )
    try:
        if password == USERS["persister"]:
            await producer.start()
        else:
            with pytest.raises(KafkaConnectionError):
                await producer.start()
    finally:
        await producer.stop()


async def test_topics_are_made_grown_and_deleted_only_on_request(
    broker: Kafka, prefix: str
) -> None:
    async with admin(broker.url) as topics:
        await topics.create_topic(f"{prefix}a", partitions=2, cleanup_policy="compact")
        await topics.grow_topic(f"{prefix}a", 3)

        # The broker answers before its own metadata shows what it has done.
        async def grown() -> bool:
            return await topics.end_offsets(f"{prefix}a") == {0: 0, 1: 0, 2: 0}

        async def gone() -> bool:
            return await topics.topics(prefix) == []

        await until(grown, "the topic has three partitions")
        assert await topics.topics(prefix) == [f"{prefix}a"]
        await topics.delete_topics(prefix)
        await until(gone, "the topic is deleted")
