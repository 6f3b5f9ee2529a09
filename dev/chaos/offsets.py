"""Reads what a consumer group has committed and where its partitions end."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from dev.admin import bootstrap_servers
from dev.chaos.movement import Position

PATIENCE = 8.0
"""Seconds for the answers to one look."""


class Offsets:
    """One group's offsets, over connections that are made anew after a failure.

    Args:
        kafka_url: `kafka://host:port`.
        group: its id.
        partitions: how many each topic has.
    """

    def __init__(self, kafka_url: str, group: str, partitions: Mapping[str, int]) -> None:
        self._bootstrap = bootstrap_servers(kafka_url)
        self._group = group
        self._partitions = [
            TopicPartition(topic, number)
            for topic, count in partitions.items()
            for number in range(count)
        ]
        self._admin: Any = None
        self._consumer: Any = None

    async def read(self) -> tuple[dict[Position, int], dict[Position, int]]:
        """Committed offsets, where there are any, and ends.

        Raises:
            KafkaError, OSError, TimeoutError: Kafka does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                if self._admin is None:
                    await self._connect()
                found = await self._admin.list_consumer_group_offsets(self._group)
                ends = await self._consumer.end_offsets(self._partitions)
        except BaseException:
            await self.close()
            raise
        committed = {
            (at.topic, at.partition): stored.offset
            for at, stored in found.items()
            if at in ends and stored.offset >= 0
        }
        return committed, {(at.topic, at.partition): end for at, end in ends.items()}

    async def close(self) -> None:
        """Disconnect."""
        admin, self._admin = self._admin, None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()
        if admin is not None:
            await admin.close()

    async def _connect(self) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await self._admin.start()
        await self._consumer.start()
