"""Reads retention settings and the oldest unread record of a partition."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from app.kafka.admin import Admin
from app.kafka.clients import client_options
from app.kafka.patches.fetched_batches import unpack_chunks
from app.monitoring.retention.policy import Head, Policy
from app.settings import KafkaSettings

HEAD_SECONDS = 5.0
"""How long to wait for one record."""

STOP_SECONDS = 3.0
"""How long to wait for a client to disconnect."""

RECORD_OVERHEAD = 20
"""Bytes that a record takes beside its key and value, about."""


class Unread:
    """Clients that connect when they are first needed, since most workers have no lag.

    Every method raises `KafkaError`, and `UnreadableSettingsError` where a right is missing.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: Admin | None = None
        self._consumer: Any = None

    async def policies(self, topics: Collection[str]) -> dict[str, Policy]:
        """How long these topics are kept.

        Asked anew each time: whoever raises a retention wants to see that it helped.
        """
        if not topics:
            return {}
        if self._admin is None:
            self._admin = await Admin.connect(self._settings)
        keys = ("cleanup.policy", "retention.ms", "retention.bytes")
        settings = await self._admin.topic_settings(topics, keys)
        return {topic: Policy.of(found) for topic, found in settings.items()}

    async def head(self, tp: TP, offset: int) -> Head | None:
        """The record at an offset, or the first one after it that Kafka still holds."""
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                **client_options(self._settings),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                # One batch, which Kafka sends whatever its size.
                max_partition_fetch_bytes=1,
            )
            await self._consumer.start()
            # Of what is in a batch, no more is unpacked than where it is consumed.
            fetcher = self._consumer._fetcher  # noqa: SLF001
            unpack_chunks(fetcher, lambda _: True, self._settings.max_record_bytes)
        partition = TopicPartition(*tp)
        self._consumer.assign([partition])
        self._consumer.seek(partition, offset)
        fetched = await self._consumer.getmany(partition, timeout_ms=int(HEAD_SECONDS * 1000))
        records = fetched.get(partition, ())
        if not records:
            return None
        size = sum(len(one.key or b"") + len(one.value or b"") for one in records) / len(records)
        return Head(records[0].timestamp, size + RECORD_OVERHEAD)

    async def disconnect(self) -> None:
        """Disconnect; the next question connects again."""
        admin, self._admin = self._admin, None
        consumer, self._consumer = self._consumer, None
        if admin is not None:
            await admin.close()
        if consumer is not None:
            # aiokafka 0.14 may wait for ever when it has just taken over an assignment.
            with suppress(TimeoutError):
                await asyncio.wait_for(consumer.stop(), STOP_SECONDS)
