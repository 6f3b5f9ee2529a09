"""The suite that proves the fake Kafka, and what only a real one shows."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.clients import producer_options
from app.kafka.producer import BatchProducer, Outgoing
from app.settings import Compression, KafkaSettings
from dev.admin import Admin
from tests.contract.producing import (  # noqa: F401 - the suite
    LIMIT,
    TestClients,
    TestMissing,
    TestPartitions,
    TestTooLarge,
    large,
    small,
    stored,
    values,
)
from tests.integration.support.kafka import read_topic


class RealKafka:
    """A broker as the suite wants it."""

    def __init__(self, url: str, prefix: str, admin: Admin) -> None:
        self._url = url
        self._settings = KafkaSettings(url=url)
        self._prefix = prefix
        self._admin = admin
        self.open: list[Any] = []

    async def create(self, topic: str, partitions: int = 1, limit: int = LIMIT) -> str:
        name = self._prefix + topic
        await self._admin.create_topic(name, partitions, max_message_bytes=str(limit))
        return name

    async def client(self) -> Any:
        client = AIOKafkaProducer(**producer_options(self._settings), request_timeout_ms=2000)
        self.open.append(client)
        await client.start()
        return client

    async def producer(self, compressed: dict[str, Compression] | None = None) -> BatchProducer:
        producer = BatchProducer(self._settings, compressed or {})
        self.open.append(producer)
        return producer

    async def values(self, topic: str) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for record in await read_topic(self._url, topic):
            found.setdefault(record.partition, []).append(record.value)
        return found


@pytest.fixture
async def kafka(kafka_url: str, prefix: str, admin: Admin) -> AsyncIterator[RealKafka]:
    made = RealKafka(kafka_url, prefix, admin)
    yield made
    for client in made.open:
        await client.stop()


async def test_what_fits_together_into_no_request_is_sent_all_the_same(kafka: RealKafka) -> None:
    # aiokafka puts a batch of each partition into one request, and the broker closes the
    # connection on one of more than 100 MiB.
    topic = await kafka.create("topic", 8, 20_000_000)
    records = [large(f"large{number}", 15_000_000, number) for number in range(8)]
    producer = await kafka.producer()
    assert await producer.send(topic, small(8)) == []
    assert await producer.send(topic, records) == []
    assert stored(await kafka.values(topic)) == values([*small(8), *records])


async def test_what_no_broker_reads_is_too_large_without_asking(kafka: RealKafka) -> None:
    topic = await kafka.create("topic", 1, 2_000_000_000)
    record = Outgoing(b"key", bytes(110_000_000))
    producer = await kafka.producer()
    assert await producer.send(topic, [*small(2), record, *small(2, 2)]) == [record]
    assert stored(await kafka.values(topic)) == values(small(4))
