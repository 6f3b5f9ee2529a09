"""The suite that proves the fake observer of a group."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from app.kafka.admin import open_admin
from app.kafka.clients import bootstrap_servers
from app.kafka.group_view import Observer
from app.kafka.reader import TopicPartition
from app.settings import KafkaSettings
from dev.admin import Admin
from tests.contract.observing import TestObserver  # noqa: F401 - the suite
from tests.integration.support.kafka import Producer, producer
from tests.integration.support.waiting import until


class RealGroup:
    def __init__(
        self, observer: Observer, producer: Producer, settings: KafkaSettings, topic: str
    ) -> None:
        self.observer = observer
        self.first, self.second = TP(topic, 0), TP(topic, 1)
        self.members = AsyncExitStack()
        self._producer = producer
        self._settings = settings

    async def write(self, timestamps: Sequence[int]) -> None:
        for at in timestamps:
            await self._producer.send_all(self.first.topic, [b""], timestamp=at, partition=0)

    async def delete_before(self, offset: int) -> None:
        async with open_admin(self._settings) as admin:
            await admin.delete_records({TopicPartition(*self.first): offset})

    async def commit(self, offset: int) -> None:
        async with self._member() as member:
            member.assign([TopicPartition(*self.first)])
            await member.commit({TopicPartition(*self.first): offset})

    async def join(self) -> None:
        member = await self.members.enter_async_context(self._member())
        member.subscribe([self.first.topic])

        async def assigned() -> bool:
            return len(member.assignment()) == 2

        await until(assigned, "the member has been assigned both partitions")

    def _member(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers(self._settings.url),
            group_id=self._settings.app_id,
            enable_auto_commit=False,
        )


@pytest.fixture
async def group(kafka_url: str, admin: Admin, prefix: str) -> AsyncIterator[RealGroup]:
    topic = f"{prefix}topic"
    # Deleted when the test asks for it, however old a record says that it is.
    await admin.create_topic(topic, 2, retention_ms="-1")
    settings = KafkaSettings(url=kafka_url, app_id=f"{prefix}group")
    observer = await Observer.connect(settings)
    try:
        async with producer(kafka_url) as kafka:
            made = RealGroup(observer, kafka, settings, topic)
            async with made.members:
                yield made
    finally:
        await observer.close()
