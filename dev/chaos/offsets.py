"""Reads a group's committed offsets and the end offsets of its partitions."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.clients import bootstrap_servers
from app.kafka.patches.committed_offsets import watch_committed_offsets
from dev.chaos.movement import Position

PATIENCE = 8.0
"""Seconds for the answers to one look."""


class Offsets:
    """The offsets of one group, over a connection that is reopened after a failure.

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
        self._consumer: Any = None

    async def read(self) -> tuple[dict[Position, int], dict[Position, int]]:
        """The committed offsets, where there are any, and the end offsets.

        Raises:
            KafkaError, OSError, TimeoutError: Kafka does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                if self._consumer is None:
                    await self._connect()
                # Not the admin client's list of offsets: it would take the answer of a coordinator
                # that is still loading for a group without any.
                stored = await asyncio.gather(*map(self._consumer.committed, self._partitions))
                ends = await self._consumer.end_offsets(self._partitions)
        except BaseException:
            await self.close()
            raise
        offsets = zip(self._partitions, stored, strict=True)
        return (
            {(at.topic, at.partition): offset for at, offset in offsets if offset is not None},
            {(at.topic, at.partition): end for at, end in ends.items()},
        )

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _connect(self) -> None:
        # It never joins the group: it only asks.
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=self._group, enable_auto_commit=False
        )
        await self._consumer.start()
        watch_committed_offsets(self._consumer._coordinator)  # noqa: SLF001 - aiokafka's defect
