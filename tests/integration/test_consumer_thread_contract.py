"""The suite that proves the fake of the consumer's thread."""

import time
from collections.abc import AsyncIterator
from typing import Any, cast

import faust
import pytest
from faust.types import TP
from yarl import URL

from app.kafka.admin import open_admin
from app.kafka.delivery import Callbacks, ChunkTopic, Transport
from app.kafka.delivery.consumer import Consumer
from app.kafka.delivery.ledger import Ledger
from app.kafka.reader import TopicPartition
from app.settings import KafkaSettings
from dev.admin import Admin
from dev.admin import admin as connect_admin
from tests.contract.consuming import TestConsumerThread  # noqa: F401 - the suite
from tests.integration.support.kafka import Producer, producer
from tests.integration.support.waiting import until


class RealTopic:
    def __init__(self, consumer: Consumer, producer: Producer, topic: str, url: str) -> None:
        self.thread = consumer.thread
        self.first, self.second = TP(topic, 0), TP(topic, 1)
        self._consumer = consumer
        self._producer = producer
        self._settings = KafkaSettings(url=url)

    async def assigned(self, partitions: set[TP]) -> None:
        async def holds() -> bool:
            return self.thread.assignment() == partitions

        await until(holds, f"the group has given this member {partitions}")

    async def write(self, records: int) -> None:
        await self._producer.send_all(self.first.topic, [b""] * records, partition=0)

    async def delete_before(self, offset: int) -> None:
        async with open_admin(self._settings) as admin:
            await admin.delete_records({TopicPartition(*self.first): offset})

    async def vanish(self) -> None:
        async with open_admin(self._settings) as admin:
            await admin.delete([self.first.topic])

        async def gone() -> bool:
            return await self.thread.highwaters(self.second) == {}

        await until(gone, "the broker has let go of the other partition")

    async def recreate(self) -> None:
        before = await self.thread.topic_ids([self.first], {})
        async with open_admin(self._settings) as admin, connect_admin(self._settings.url) as again:
            await admin.delete([self.first.topic])
            await again.create_topic(self.first.topic, 2)

        async def recreated() -> bool:
            await self.thread.refresh_metadata()
            now = await self.thread.topic_ids([self.first], before)
            forgotten = await self.thread.without_commit([self.first, self.second])
            assigned = self.thread.assignment() == {self.first, self.second}
            return assigned and bool(now) and now != before and len(forgotten) == 2

        await until(recreated, "the topic has another id")

    async def revoke(self) -> None:
        await self.thread.subscribe({f"{self.first.topic}-another"})

        async def revoked() -> bool:  # the other topic may be assigned at once
            return self.first not in self.thread.assignment()

        await until(revoked, "this topic is revoked")


@pytest.fixture
async def topic(kafka_url: str, admin: Admin, prefix: str) -> AsyncIterator[RealTopic]:
    name = f"{prefix}chunked"
    await admin.create_topic(name, 2)
    await admin.create_topic(f"{name}-another")
    app = faust.App(f"{prefix}group", broker=kafka_url, set_as_current=False)
    transport = Transport(
        [URL(kafka_url)],
        app,
        kafka=KafkaSettings(url=kafka_url),
        ledger=Ledger(),
        shutdown_deadline=10.0,
        callbacks=Callbacks(
            held=lambda _: False,
            finished=lambda _: None,
            lost=lambda *_: None,
            committing=lambda: None,
            end=print,
        ),
    )

    async def nothing(*_: Any) -> None:
        pass

    made: Any = transport.create_consumer(
        nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing
    )
    consumer = cast("Consumer", made)
    topics: Any = app.topics
    topics._topic_name_index[name] = {ChunkTopic(app, topics=(name,))}
    await consumer.start()
    try:
        async with producer(kafka_url) as kafka:
            real = RealTopic(consumer, kafka, name, kafka_url)
            await real.thread.subscribe({name})
            await real.assigned({real.first, real.second})
            yield real
    finally:
        await consumer.stop()


async def test_where_a_log_ends_is_told_while_a_fetch_waits_for_records(topic: RealTopic) -> None:
    both = {topic.first, topic.second}
    await topic.thread.seek_wait(dict.fromkeys(both, 0))
    began = time.monotonic()
    for _ in range(10):
        assert await topic.thread.getmany(both, 0.1) == {}
        assert await topic.thread.highwaters(*both) == dict.fromkeys(both, 0)
    # Behind an idle fetch each would take a second and a half.
    assert time.monotonic() - began < 8
