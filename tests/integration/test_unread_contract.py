"""The suite that proves the fake of what is unread."""

from collections.abc import AsyncIterator, Sequence

import pytest
from faust.types import TP

from app.kafka import first_batch
from app.kafka.admin import open_admin
from app.kafka.reader import TopicPartition
from app.monitoring.retention import Unread
from app.settings import KafkaSettings
from dev.admin import Admin
from tests.contract.unread import TestUnread  # noqa: F401 - the suite
from tests.integration.support.kafka import Producer, producer


class RealTopic:
    def __init__(self, settings: KafkaSettings, producer: Producer, topic: str) -> None:
        self.unread = Unread(settings)
        self.tp = TP(topic, 0)
        self._settings = settings
        self._producer = producer

    async def write(self, records: Sequence[tuple[int, int]]) -> None:
        for at, size in records:
            await self._producer.send(self.tp.topic, b"x" * size, timestamp=at)

    async def delete_before(self, offset: int) -> None:
        async with open_admin(self._settings) as admin:
            await admin.delete_records({TopicPartition(*self.tp): offset})


@pytest.fixture
async def topic(
    kafka_url: str, admin: Admin, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RealTopic]:
    # It is waited for whenever there is no record.
    monkeypatch.setattr(first_batch, "ANSWER_SECONDS", 2.0)
    await admin.create_topic(f"{prefix}topic", retention_ms="-1")
    async with producer(kafka_url) as kafka:
        made = RealTopic(KafkaSettings(url=kafka_url), kafka, f"{prefix}topic")
        yield made
        await made.unread.disconnect()
