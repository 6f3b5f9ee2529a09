"""Reads whole topics: every record between two offsets, one fetch at a time.

For the commands (audit, dead letters, replay) and for what workers tell one another: they belong to
no consumer group and commit nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.clients import client_options
from app.kafka.patches.checked_batches import check_batches
from app.kafka.patches.noted_throttling import throttling
from app.kafka.records import PlacedRecord
from app.settings import KafkaSettings

__all__ = ["Bounds", "ReadError", "Reader", "TopicPartition", "open_reader"]

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""How long to wait for records that should exist."""


STOP_SECONDS = 5.0
"""How long to wait for a client to disconnect."""


class ReadError(Exception):
    """Kafka stopped sending before the end of a topic; the message is for the operator."""


class Bounds(NamedTuple):
    """A part of a partition."""

    start: int
    """The first offset."""

    end: int
    """The offset after the last one."""


class Reader:
    """Reads parts of partitions, one after the other.

    Every method raises `KafkaError` when Kafka cannot be reached or refuses.

    Args:
        consumer: started, without a group, and used for nothing else; `open_reader` makes one.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def bounds(self, topic: str, partitions: int) -> dict[TopicPartition, Bounds]:
        """The current bounds of each of a topic's partitions.

        Args:
            topic: its name.
            partitions: how many it has; 0 for a topic that does not exist, which yields nothing.
        """
        numbers = [TopicPartition(topic, number) for number in range(partitions)]
        starts, ends = await self.starts(numbers), await self.ends(numbers)
        return {number: Bounds(starts[number], ends[number]) for number in numbers}

    async def since(
        self, bounds: Mapping[TopicPartition, Bounds], timestamp: int
    ) -> dict[TopicPartition, Bounds]:
        """Narrow bounds down to start at the first record since a time (epoch millis).

        The bounds of a partition without such a record become empty.
        """
        times = dict.fromkeys(bounds, timestamp)
        found = await self._consumer.offsets_for_times(times) if times else {}
        return {
            number: Bounds(max(start, found[number].offset) if found[number] else end, end)
            for number, (start, end) in bounds.items()
        }

    async def starts(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition that Kafka still has."""
        found = await self._consumer.beginning_offsets(partitions) if partitions else {}
        return dict(found)

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of each partition that the next record will get."""
        found = await self._consumer.end_offsets(partitions) if partitions else {}
        return dict(found)

    async def records(
        self, partition: TopicPartition, bounds: Bounds
    ) -> AsyncIterator[PlacedRecord]:
        """All records of a part of a partition, in order.

        Raises:
            ReadError: Kafka stops sending before the end.
        """
        start, end = bounds
        if start >= end:
            # aiokafka 0.14 may hang in `stop` if it has just taken over an assignment.
            return
        consumer = self._consumer
        consumer.assign([partition])
        consumer.seek(partition, start)
        while (position := await consumer.position(partition)) < end:
            fetched = await consumer.getmany(partition, timeout_ms=int(SILENCE_SECONDS * 1000))
            for record in fetched.get(partition, ()):
                if record.offset < end:
                    yield record
            if not fetched and await consumer.position(partition) == position:
                if throttled := throttling.told:
                    logger.warning("%s/%d: %s", *partition, throttled)
                    continue
                raise ReadError(
                    f"Kafka sends nothing more of {partition.topic}/{partition.partition} from "
                    f"offset {position} on: try again"
                )

    async def follow(
        self, partition: TopicPartition, start: int, pause: float
    ) -> AsyncIterator[list[PlacedRecord]]:
        """The records of a partition from an offset on, and then new ones, without end.

        Args:
            partition: which one.
            start: the first offset.
            pause: seconds without a record after which it yields an empty list.
        """
        consumer = self._consumer
        consumer.assign([partition])
        consumer.seek(partition, start)
        while True:
            fetched = await consumer.getmany(partition, timeout_ms=int(pause * 1000))
            yield fetched.get(partition, [])


@asynccontextmanager
async def open_reader(
    settings: KafkaSettings,
    isolation_level: str = "read_uncommitted",
    *,
    fetch_wait: float = 0.05,
) -> AsyncIterator[Reader]:
    """Connect for as long as the block runs; raises `KafkaError` if no broker can be reached.

    A batch that cannot be unpacked, or would be much larger than the largest record, is read as a
    single record without key and value, in place of its last one.

    Args:
        settings: how to connect.
        isolation_level: `read_committed` leaves out the records of aborted transactions.
        fetch_wait: seconds that a broker may wait for new records. For a reader that stops at the
            end of a partition, a long wait there would delay the next partition.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation_level,
        fetch_max_wait_ms=int(fetch_wait * 1000),
        # Pause of the fetcher when it finds nothing to fetch; an answer or a seek wakes it at once.
        consumer_timeout_ms=max(1000, int(2000 * fetch_wait)),
    )
    try:
        await consumer.start()
        check_batches(consumer, settings.max_record_bytes)
        yield Reader(consumer)
    finally:
        # aiokafka 0.14 may hang in `stop` if it has just taken over an assignment.
        with suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), STOP_SECONDS)
