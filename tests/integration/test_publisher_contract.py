"""The suite that proves the fake publisher of the unit tests."""

from collections.abc import AsyncIterator

import pytest

from app.kafka.reader import open_reader
from app.settings import KafkaSettings
from dev.admin import Admin
from openwhisk.publisher import Publisher
from openwhisk.store import Publishes
from tests.contract.publishing import ROOM, TestPublisher  # noqa: F401 - the suite

NOWHERE = "kafka://127.0.0.1:1"


class RealKafka:
    """A broker as the suite wants it."""

    def __init__(self, url: str, prefix: str, admin: Admin) -> None:
        self._url = url
        self._prefix = prefix
        self._admin = admin
        publisher = Publisher(KafkaSettings(url=url), deadline=20)
        self.publisher: Publishes = publisher
        self.open = [publisher]

    async def create(self, topic: str) -> str:
        name = self._prefix + topic
        # Kafka counts what it adds to a record, too.
        await self._admin.create_topic(name, max_message_bytes=str(ROOM + 128))
        return name

    async def away(self) -> Publishes:
        self.open.append(Publisher(KafkaSettings(url=NOWHERE), deadline=0.5))
        return self.open[-1]

    async def values(self, topic: str) -> list[bytes]:
        async with open_reader(KafkaSettings(url=self._url)) as reader:
            ((partition, bounds),) = (await reader.bounds(topic, 1)).items()
            return [record.value or b"" async for record in reader.records(partition, bounds)]


@pytest.fixture
async def kafka(kafka_url: str, prefix: str, admin: Admin) -> AsyncIterator[RealKafka]:
    made = RealKafka(kafka_url, prefix, admin)
    yield made
    for publisher in made.open:
        await publisher.stop(1)
