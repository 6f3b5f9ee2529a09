"""Makes and looks at Kafka topics, for tests, demo and benchmark."""

import contextlib
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import for_code

from app.kafka.clients import bootstrap_servers


class Admin:
    """Topics, partitions and offsets of one Kafka. Errors are aiokafka's `KafkaError`."""

    def __init__(self, client: AIOKafkaAdminClient, bootstrap: list[str]) -> None:
        """Use a started client; `admin` makes one."""
        self._client = client
        self._bootstrap = bootstrap

    async def create_topic(self, name: str, partitions: int = 1, **configuration: str) -> None:
        """Create a topic; further arguments are topic settings with `_` for `.`."""
        settings = {key.replace("_", "."): value for key, value in configuration.items()}
        topic = NewTopic(name, partitions, replication_factor=1, topic_configs=settings)
        response = await self._client.create_topics([topic])
        for _, code, message in response.topic_errors:
            if code:
                raise for_code(code)(f"cannot create topic {name}: {message}")

    async def grow_topic(self, name: str, partitions: int) -> None:
        """Raise a topic's number of partitions to `partitions`."""
        await self._client.create_partitions({name: NewPartitions(total_count=partitions)})

    async def topics(self, prefix: str = "") -> list[str]:
        """The names of all topics that begin with the prefix, sorted."""
        return sorted(name for name in await self._client.list_topics() if name.startswith(prefix))

    async def delete_topics(self, prefix: str) -> None:
        """Delete all topics that begin with the prefix, which must not be empty."""
        if not prefix:
            raise ValueError("an empty prefix would delete every topic")
        if names := await self.topics(prefix):
            await self._client.delete_topics(names)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """By partition, the offset that the consumer group has committed; only where it has."""
        offsets = await self._client.list_consumer_group_offsets(group)
        return {
            partition.partition: committed.offset
            for partition, committed in offsets.items()
            if partition.topic == topic
        }

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """By partition, the offset that the next record will get."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await consumer.start()
        try:
            [description] = await self._client.describe_topics([topic])
            numbers = [partition["partition"] for partition in description["partitions"]]
            offsets = await consumer.end_offsets([TopicPartition(topic, n) for n in numbers])
            return {partition.partition: offset for partition, offset in offsets.items()}
        finally:
            await consumer.stop()


@contextlib.asynccontextmanager
async def admin(kafka_url: str) -> AsyncIterator[Admin]:
    """Connect to the Kafka at `kafka://host:port`; close the connection at the end."""
    bootstrap = bootstrap_servers(kafka_url)
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await client.start()
        yield Admin(client, bootstrap)
    finally:
        await client.close()
