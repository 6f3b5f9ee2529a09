"""What reading and replaying need of topics: which there are, and all records of a partition."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from app.kafka.clients import client_options
from app.settings import KafkaSettings

SILENCE_SECONDS = 30.0
"""How long to wait for records that must be there."""


class LettersError(Exception):
    """A command about dead letters cannot go on; the message is for the operator."""


class Topics:
    """Topics and their settings, through a started admin client; errors are `KafkaError`s."""

    def __init__(self, admin: Any) -> None:
        self._admin = admin

    async def partition_counts(self) -> dict[str, int]:
        """The number of partitions of every topic."""
        described = await self._admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def largest_batch(self, topic: str) -> int:
        """The `max.message.bytes` of a topic."""
        resource = ConfigResource(
            ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": None}
        )
        (answer,) = await self._admin.describe_configs([resource])
        (code, reason, *_, entries) = answer.resources[0]
        if code:
            raise for_code(code)(f"cannot read the settings of {topic}: {reason}")
        (value,) = [entry[1] for entry in entries if entry[0] == "max.message.bytes"]
        return int(value)

    async def create(self, topic: str, replication: int, config: dict[str, str]) -> None:
        """Create a topic with one partition, unless it is there."""
        new = NewTopic(topic, 1, replication, topic_configs=config)
        response = await self._admin.create_topics([new])
        for _, code, reason in response.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(f"cannot create {topic}: {reason}")


@asynccontextmanager
async def open_topics(settings: KafkaSettings) -> AsyncIterator[Topics]:
    """Connect an admin client."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        yield Topics(admin)
    finally:
        await admin.close()


@asynccontextmanager
async def open_consumer(
    settings: KafkaSettings, isolation_level: str = "read_uncommitted"
) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer that belongs to no group, and commits nothing."""
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation_level,
        # Only what is there is read: waiting for more at the end would delay the next partition.
        fetch_max_wait_ms=50,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def records_between(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> AsyncIterator[Any]:
    """All records of a partition from offset `start` until before `end`, a fetch at a time.

    Raises:
        LettersError: Kafka does not send them.
    """
    if start >= end:
        # aiokafka 0.14 never stops when it is stopped while it takes over an assignment.
        return
    consumer.assign([partition])
    consumer.seek(partition, start)
    while (position := await consumer.position(partition)) < end:
        fetched = await consumer.getmany(partition, timeout_ms=int(SILENCE_SECONDS * 1000))
        for record in fetched.get(partition, ()):
            if record.offset < end:
                yield record
        if not fetched and await consumer.position(partition) == position:
            raise LettersError(
                f"Kafka sends nothing more of {partition.topic}/{partition.partition} from offset "
                f"{position} on: try again"
            )
