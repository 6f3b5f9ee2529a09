"""Sending to the persister's own topics, acknowledged by every replica.

Records go out in batches per partition: aiokafka's `send` costs a future and a task switch for
each record, and its default partitioner hashes keys in Python.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from mode import Service

from app.kafka.clients import BATCH_BYTES, codec, producer_options
from app.settings import Compression, KafkaSettings

RETRY_SECONDS = 1.0


class Outgoing(msgspec.Struct, gc=False):
    """A record to be sent."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []


def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition for a key: CRC32, since only the persister writes to its topics."""
    return crc32(key or b"") % partitions


class Outbox(Service):
    """An idempotent producer for batches.

    Args:
        settings: Where Kafka is.
        compressed: The topics whose batches are compressed, and how.
    """

    def __init__(
        self, settings: KafkaSettings, compressed: Mapping[str, Compression], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._codecs = {topic: codec(compression) for topic, compression in compressed.items()}
        self._producer: Any = None
        self._partitions: dict[str, int] = {}

    async def on_start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(**producer_options(self._settings))
        await self._producer.start()

    async def on_stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, topic: str, records: Iterable[Outgoing]) -> list[Outgoing]:
        """Send records; returns, once all others are acknowledged, those that are too large.

        What can pass (a broker that is down, a leader that moves) is tried again for as long as it
        takes: a batch that was written before its acknowledgement was lost may then be there
        twice, which the guard and the database settle.

        Raises:
            KafkaError: what does not pass by itself, such as a missing right.
        """
        count = await self._partition_count(topic)
        by_partition: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for record in records:
            by_partition[partition_of(record.key, count)].append(record)
        results = await asyncio.gather(
            *(self._send_partition(topic, number, part) for number, part in by_partition.items())
        )
        return [record for too_large in results for record in too_large]

    async def _partition_count(self, topic: str) -> int:
        if topic not in self._partitions:
            self._partitions[topic] = len(await self._producer.partitions_for(topic))
        return self._partitions[topic]

    async def _send_partition(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> list[Outgoing]:
        too_large: list[Outgoing] = []
        for batch, contents in self._batches(topic, records):
            if not await self._send_batch(topic, partition, batch, contents):
                too_large += contents
        return too_large

    def _batches(
        self, topic: str, records: Sequence[Outgoing]
    ) -> list[tuple[Any, Sequence[Outgoing]]]:
        """Pack records into full batches; one that is larger than a batch is alone in its own."""
        batches: list[tuple[Any, Sequence[Outgoing]]] = []
        start = 0
        while start < len(records):
            batch = BatchBuilder(BATCH_BYTES, self._codecs.get(topic, 0))
            end = start + _fill(batch, itertools.islice(records, start, None))
            batches.append((batch, records[start:end]))
            start = end
        return batches

    async def _send_batch(
        self, topic: str, partition: int, batch: Any, contents: Sequence[Outgoing]
    ) -> bool:
        """Send one batch until it is acknowledged; False when its single record is too large."""
        while True:
            try:
                await (await self._producer.send_batch(batch, topic, partition=partition))
            except (MessageSizeTooLargeError, RecordTooLargeError):
                if len(contents) > 1:
                    raise
                return False
            except KafkaError as error:
                if not _passes(error):
                    raise
                self.log.warning(
                    "Sending to %s/%d failed (%s); trying again.",
                    *(topic, partition, type(error).__name__),
                )
                await self.sleep(RETRY_SECONDS)
                ((batch, contents),) = self._batches(topic, contents)
            else:
                return True


def _passes(error: KafkaError) -> bool:
    # aiokafka's own time-out is not marked as such: with a broker that is down, a batch waits only
    # so long for the one before it.
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)


def _fill(batch: Any, records: Iterable[Outgoing]) -> int:
    """Append to an empty batch of aiokafka's what fits, at least one record; returns how many.

    As `BatchBuilder.append` does it for one record at a time, in half the time.
    """
    append = batch._builder.append  # noqa: SLF001
    count = 0
    for record in records:
        if append(count, None, record.key, record.value, record.headers) is None:
            break
        count += 1
    batch._relative_offset = count  # noqa: SLF001
    batch.close()
    return count
