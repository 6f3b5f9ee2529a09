"""Reads a group's committed offsets and the end offsets of its partitions."""

import asyncio
from collections.abc import Callable, Iterable

from app.kafka.group_view import Observer
from app.settings import KafkaSettings
from dev.chaos.movement import Position

PATIENCE = 8.0
"""Seconds for the answers to one look."""


class Offsets:
    """The offsets of one group, over a connection that is reopened after a failure.

    Args:
        kafka_url: `kafka://host:port`.
        group: its id.
        topics: those to look at, asked at each look.
    """

    def __init__(self, kafka_url: str, group: str, topics: Callable[[], Iterable[str]]) -> None:
        self._settings = KafkaSettings(url=kafka_url, app_id=group)
        self._topics = topics
        self._observer: Observer | None = None

    async def read(self) -> tuple[dict[Position, int], dict[Position, int]]:
        """The committed offsets, where there are any, and the end offsets.

        Raises:
            KafkaError, OSError, TimeoutError: Kafka does not answer.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                if self._observer is None:
                    self._observer = await Observer.connect(self._settings)
                known = await self._observer.topics()
                view = await self._observer.look(known, [t for t in self._topics() if t in known])
        except BaseException:
            await self.close()
            raise
        reached = view.partitions.items()
        return (
            {(*at,): reach.committed for at, reach in reached if reach.committed is not None},
            {(*at,): reach.end for at, reach in reached if reach.end is not None},
        )

    async def close(self) -> None:
        """Disconnect."""
        observer, self._observer = self._observer, None
        if observer is not None:
            await observer.close()
