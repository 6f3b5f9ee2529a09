"""Reads retention settings and the oldest unread record of a partition."""

from collections.abc import Collection

from faust.types import TP

from app.kafka.admin import Admin
from app.kafka.first_batch import FirstBatch
from app.monitoring.retention.policy import Head, Policy
from app.settings import KafkaSettings

RECORD_OVERHEAD = 20
"""About how many bytes a record takes besides its key and value."""


class Unread:
    """Reads from Kafka; its clients connect on first use, because most workers have no lag.

    Every method raises `KafkaError`, and `UnreadableSettingsError` if a right is missing.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: Admin | None = None
        self._batch = FirstBatch(settings)

    async def policies(self, topics: Collection[str]) -> dict[str, Policy]:
        """The retention of topics.

        Read every time, because an operator who raises a retention wants to see the effect.
        """
        if not topics:
            return {}
        if self._admin is None:
            self._admin = await Admin.connect(self._settings)
        keys = ("cleanup.policy", "retention.ms", "retention.bytes")
        settings = await self._admin.topic_settings(topics, keys)
        return {topic: Policy.of(found) for topic, found in settings.items()}

    async def head(self, tp: TP, offset: int) -> Head | None:
        """The record at an offset, or the first one after it that Kafka still has."""
        records = await self._batch.read(tp, offset)
        if not records:
            return None
        size = sum(len(one.key or b"") + len(one.value or b"") for one in records) / len(records)
        return Head(records[0].timestamp, size + RECORD_OVERHEAD)

    async def disconnect(self) -> None:
        """Disconnect; the next method connects again."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()
        await self._batch.disconnect()
