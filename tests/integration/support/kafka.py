"""Producing, and reading back what the persister produced."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.kafka.clients import bootstrap_servers
from tests.integration.support.records import document, document_id, result


class Sent(NamedTuple):
    """A record as Kafka keeps it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Producer:
    """Writes records, and keeps a ledger of the documents that must be in the database."""

    def __init__(self, client: AIOKafkaProducer) -> None:
        self._client = client
        self.expected: dict[str, dict[str, Any]] = {}
        """Documents by `_id`, of `records`; the first of the same id counts."""

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp: int | None = None,
    ) -> Sent:
        """Write one record; returns once Kafka has it."""
        return await (await self._begin(topic, value, key, headers, timestamp))

    async def send_all(
        self,
        topic: str,
        values: Iterable[bytes],
        *,
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> list[Sent]:
        """Write records in this order; returns once Kafka has them all."""
        return await asyncio.gather(
            *[await self._begin(topic, value, None, (), timestamp, partition) for value in values]
        )

    async def records(
        self,
        topic: str,
        records: Sequence[dict[str, Any]],
        *,
        timestamp: int | None = None,
        partition: int | None = None,
    ) -> None:
        """Write each record as a result message and note the document that it must become."""
        values = [result(record) for record in records]
        sent = await self.send_all(topic, values, timestamp=timestamp, partition=partition)
        for record, kept in zip(records, sent, strict=True):
            self.expected.setdefault(document_id(record), document(record, kept.timestamp))

    async def _begin(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: int | None,
        partition: int | None = None,
    ) -> "asyncio.Future[Sent]":
        # What aiokafka reports is the timestamp of the first record of the batch for all of them.
        created = timestamp or int(time.time() * 1000)
        future = await self._client.send(
            topic, value, key=key, headers=list(headers), timestamp_ms=created, partition=partition
        )

        async def sent() -> Sent:
            at = await future
            return Sent(at.topic, at.partition, at.offset, created, key, value, tuple(headers))

        return asyncio.ensure_future(sent())


@contextlib.asynccontextmanager
async def producer(kafka_url: str) -> AsyncIterator[Producer]:
    """A connected producer."""
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(kafka_url),
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_request_size=20_000_000,
    )
    await client.start()
    try:
        yield Producer(client)
    finally:
        await client.stop()


async def read_topic(kafka_url: str, topic: str) -> list[Any]:
    """All records (aiokafka `ConsumerRecord`) that a topic holds now, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers(kafka_url))
    await consumer.start()
    try:
        numbers = consumer.partitions_for_topic(topic) or await _partitions(consumer, topic)
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        read: list[Any] = []
        async with asyncio.timeout(20):
            for partition in partitions:
                while await consumer.position(partition) < ends[partition]:
                    fetched = await consumer.getmany(partition, timeout_ms=1000)
                    read += fetched.get(partition, [])
        return read
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client.set_topics([topic])
    return set(consumer.partitions_for_topic(topic) or ())
