"""Reads a group's committed offsets and the end offsets of its partitions."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from app.kafka.admin import Admin, open_admin
from app.kafka.reader import Reader, TopicPartition, open_reader
from app.settings import KafkaSettings
from dev.chaos.movement import Position

PATIENCE = 8.0
"""Seconds for the answers to one look."""


class Offsets:
    """The offsets of one group, over connections that are reopened after a failure.

    Args:
        settings: how to connect; the group is its `app_id`.
        partitions: how many each topic has.
    """

    def __init__(self, settings: KafkaSettings, partitions: Mapping[str, int]) -> None:
        self._settings = settings
        self._partitions = [
            TopicPartition(topic, number)
            for topic, count in partitions.items()
            for number in range(count)
        ]
        self._open = AsyncExitStack()
        self._clients: tuple[Admin, Reader] | None = None

    async def read(self) -> tuple[dict[Position, int], dict[Position, int]]:
        """The committed offsets, where there are any, and the end offsets.

        Raises:
            KafkaError, OSError, TimeoutError: Kafka does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                admin, reader = await self._connected()
                committed = await admin.committed(self._settings.app_id)
                ends = await reader.ends(self._partitions)
        except BaseException:
            await self.close()
            raise
        wanted = set(self._partitions)
        return (
            {(at.topic, at.partition): offset for at, offset in committed.items() if at in wanted},
            {(at.topic, at.partition): end for at, end in ends.items()},
        )

    async def close(self) -> None:
        """Disconnect."""
        self._clients = None
        await self._open.aclose()

    async def _connected(self) -> tuple[Admin, Reader]:
        if self._clients is None:
            self._clients = (
                await self._open.enter_async_context(open_admin(self._settings)),
                await self._open.enter_async_context(open_reader(self._settings)),
            )
        return self._clients
