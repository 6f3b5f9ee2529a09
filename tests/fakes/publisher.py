"""A Kafka that takes everything at once, unless told otherwise."""

import json
from collections.abc import Sequence
from typing import Any

from openwhisk.publisher import NotAcknowledged, PublishError, TooLarge


class FakePublisher:
    """Keeps what is published.

    Attributes:
        records: topic and value, in order.
        down: topics that acknowledge nothing.
        largest: by topic, bytes that a record may have.
    """

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes]] = []
        self.down: set[str] = set()
        self.largest: dict[str, int] = {}

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        assert key is None
        if topic in self.down:
            raise NotAcknowledged(f"{topic} is down")
        if len(value) > self.largest.get(topic, len(value)):
            raise TooLarge(f"{topic} takes no record of this size")
        self.records.append((topic, value))

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        errors: list[PublishError | None] = []
        for value in values:
            try:
                await self.publish(topic, value)
            except PublishError as error:
                errors.append(error)
            else:
                errors.append(None)
        return errors

    @property
    def topics(self) -> list[str]:
        return [topic for topic, _ in self.records]

    @property
    def messages(self) -> list[tuple[str, Any]]:
        return [(topic, json.loads(value)) for topic, value in self.records]
