"""The suite that the fake Kafka of the unit tests has in common with a real one."""

import pytest

from app.kafka.producer import BatchProducer
from app.settings import Compression, KafkaSettings
from tests.contract.producing import (  # noqa: F401 - the suite
    LIMIT,
    TestClients,
    TestMissing,
    TestPartitions,
    TestTooLarge,
)
from tests.fakes.kafka import FakeBroker, FakeClient


class FakeKafka:
    """The fake as the suite wants it."""

    def __init__(self) -> None:
        self._broker = FakeBroker()

    async def create(self, topic: str, partitions: int = 1, limit: int = LIMIT) -> str:
        self._broker.create(topic, partitions, limit)
        return topic

    async def client(self) -> FakeClient:
        return self._broker.client()

    async def producer(self, compressed: dict[str, Compression] | None = None) -> BatchProducer:
        return BatchProducer(KafkaSettings(), compressed or {}, new_client=self._broker.client)

    async def values(self, topic: str) -> dict[int, list[bytes]]:
        return self._broker.values(topic)


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()
