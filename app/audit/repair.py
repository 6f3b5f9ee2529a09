"""Sending the records of missing documents again, the normal way.

The record's own bytes go to the partition that they came from, and from there through the worker as
if they had just arrived. A header tells the worker that the guard's memory is wrong about them
(`models.repair`). They get a new timestamp: Kafka's retention could delete old ones at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from app.audit.findings import Place
from app.audit.reading import Watcher
from app.dead_letters.kafka import open_consumer, records_between
from app.kafka.clients import producer_options
from app.settings import KafkaSettings
from models.repair import REPAIR

BATCH_RECORDS = 100
BATCH_BYTES = 8 * 1024 * 1024


@dataclass
class Repaired:
    """What became of the records that were to be sent again."""

    planned: int
    sent: int = 0
    gone: int = 0
    """Kafka has deleted them meanwhile."""

    refused: int = 0
    """Kafka does not take them."""

    error: str | None = None
    """Why it did not take the last one of these."""

    dry_run: bool = False
    """Whether nothing was sent, on purpose."""


class Repairer:
    """Sends records again.

    Args:
        consumer: started, without a group.
        producer: started, idempotent.
        watcher: is told of every record.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, watcher: Watcher
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._watcher = watcher
        self._repaired = Repaired(0)

    async def run(self, places: Iterable[Place]) -> Repaired:
        """Send these records; returns when Kafka has acknowledged them.

        Raises:
            LettersError: Kafka does not send what is to be sent again.
            KafkaError: the same.
        """
        wanted: defaultdict[TopicPartition, set[int]] = defaultdict(set)
        for topic, partition, offset in places:
            wanted[TopicPartition(topic, partition)].add(offset)
        self._repaired.planned = sum(map(len, wanted.values()))
        self._watcher.begin("sending again", self._repaired.planned)
        for tp, offsets in wanted.items():
            found = 0
            batch: list[Any] = []
            async for record in records(self._consumer, tp, offsets):
                found += 1
                batch.append(record)
                if len(batch) == BATCH_RECORDS or _size(batch) >= BATCH_BYTES:
                    await self._send(batch)
                    batch = []
            await self._send(batch)
            self._repaired.gone += len(offsets) - found
            self._watcher.forward(len(offsets) - found)
        return self._repaired

    async def _send(self, batch: list[Any]) -> None:
        results = await asyncio.gather(*map(self._send_one, batch), return_exceptions=True)
        for result in results:
            if isinstance(result, KafkaError):
                self._repaired.refused += 1
                self._repaired.error = str(result) or type(result).__name__
            elif isinstance(result, BaseException):
                raise result
            else:
                self._repaired.sent += 1
        self._watcher.forward(len(batch))

    async def _send_one(self, record: Any) -> None:
        headers = [header for header in record.headers if header[0] != REPAIR]
        await self._producer.send_and_wait(
            record.topic,
            record.value,
            record.key,
            record.partition,
            headers=[*headers, (REPAIR, b"audit")],
        )


async def records(
    consumer: AIOKafkaConsumer, tp: TopicPartition, offsets: set[int]
) -> AsyncIterator[Any]:
    """Those of these records that Kafka still holds."""
    starts = await consumer.beginning_offsets([tp])
    left = {offset for offset in offsets if offset >= starts[tp]}
    if not left:
        return
    async for record in records_between(consumer, tp, min(left), max(left) + 1):
        if record.offset in left:
            yield record


@asynccontextmanager
async def open_repairer(settings: KafkaSettings, watcher: Watcher) -> AsyncIterator[Repairer]:
    """Connect; raises `KafkaError`."""
    producer = AIOKafkaProducer(**producer_options(settings))
    try:
        await producer.start()
        async with open_consumer(settings) as consumer:
            yield Repairer(consumer, producer, watcher)
    finally:
        await producer.stop()


def _size(batch: Iterable[Any]) -> int:
    return sum(len(record.value or b"") for record in batch)
