"""Creates and inspects Kafka topics for the tests, the demo and the benchmark."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError

from app.kafka.admin import Admin as KafkaAdmin
from app.kafka.admin import open_admin
from app.kafka.clients import client_options
from app.kafka.reader import TopicPartition, open_reader
from app.kafka.topics import TopicSpec
from app.settings import KafkaSettings

_KNOWN_SECONDS = 20.0

_SESSION_SECONDS = 30.0


class Admin:
    """Topics, partitions and offsets of one cluster. Errors are aiokafka's `KafkaError`."""

    def __init__(self, kafka: KafkaAdmin, settings: KafkaSettings) -> None:
        """Wrap a connected client; use `admin` to get one."""
        self._kafka = kafka
        self._settings = settings

    async def create_topic(self, name: str, partitions: int = 1, **configuration: str) -> None:
        """Create a topic; further arguments are topic settings with `_` for `.`.

        Returns when brokers know it, which is a moment later.
        """
        settings = {key.replace("_", "."): value for key, value in configuration.items()}
        await self._kafka.create(TopicSpec(name, partitions, settings), replication=1)
        async with asyncio.timeout(_KNOWN_SECONDS):
            while name not in await self._kafka.topics():  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.05)

    async def grow_topic(self, name: str, partitions: int) -> None:
        """Grow a topic to `partitions` partitions."""
        await self._kafka.grow(name, partitions)

    async def topics(self, prefix: str = "") -> list[str]:
        """The names of all topics that begin with the prefix, sorted."""
        return sorted(name for name in await self._kafka.topics() if name.startswith(prefix))

    async def delete_topics(self, prefix: str) -> None:
        """Delete all topics that begin with the prefix, which must not be empty."""
        if not prefix:
            raise ValueError("an empty prefix would delete every topic")
        await self._kafka.delete(await self.topics(prefix))

    async def configure_topic(self, name: str, settings: Mapping[str, str]) -> None:
        """Give a topic these settings; the others become the broker's again."""
        await self._kafka.change_topic_settings(name, settings)

    async def empty_topic(self, name: str) -> None:
        """Delete all of its records up to now; it must not be one that is only compacted."""
        ends = await self.end_offsets(name)
        await self._kafka.delete_records({TopicPartition(name, n): at for n, at in ends.items()})

    async def rewind(self, group: str, topic: str) -> dict[int, int]:
        """Have a group begin at the start of a topic; returns where that is.

        Waits until its last members have left: a killed one is a member until its session ends.
        """
        partitions = (await self._kafka.partition_counts())[topic]
        consumer = AIOKafkaConsumer(
            **client_options(self._settings), group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
            starts = await consumer.beginning_offsets(consumer.assignment())
            async with asyncio.timeout(_SESSION_SECONDS):
                while True:
                    try:
                        await consumer.commit(starts)
                        break
                    except CommitFailedError:
                        await asyncio.sleep(0.5)
        finally:
            await consumer.stop()
        return {at.partition: offset for at, offset in starts.items()}

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offset by partition, leaving out partitions without one."""
        return {
            at.partition: offset
            for at, offset in (await self._kafka.committed(group)).items()
            if at.topic == topic
        }

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """The end offset (that of the next record) by partition."""
        partitions = (await self._kafka.partition_counts())[topic]
        numbers = [TopicPartition(topic, number) for number in range(partitions)]
        async with open_reader(self._settings) as reader:
            return {at.partition: end for at, end in (await reader.ends(numbers)).items()}


@contextlib.asynccontextmanager
async def admin(kafka_url: str) -> AsyncIterator[Admin]:
    """Connect to the Kafka at `kafka://host:port`; close the connection at the end."""
    settings = KafkaSettings(url=kafka_url)
    async with open_admin(settings) as kafka:
        yield Admin(kafka, settings)
