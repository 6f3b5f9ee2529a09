"""Reads a single batch at an offset."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from app.kafka.clients import client_options
from app.kafka.patches.checked_batches import check_batches
from app.kafka.records import Record
from app.kafka.stopping import stop_consumer
from app.settings import KafkaSettings

ANSWER_SECONDS = 5.0
"""How long to wait for a batch."""

STOP_SECONDS = 3.0
"""How long to wait for the client to disconnect."""


class FirstBatch:
    """A consumer without a group that connects on first use."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: Any = None

    async def read(self, tp: TP, offset: int) -> Sequence[Record]:
        """The records of the batch at an offset, or of the next one that Kafka still has.

        Empty if no batch arrives within `ANSWER_SECONDS`.

        Raises:
            KafkaError: Kafka cannot be reached, or refuses.
        """
        if self._consumer is None:
            self._consumer = await self._connect()
        partition = TopicPartition(*tp)
        self._consumer.assign([partition])
        self._consumer.seek(partition, offset)
        fetched = await self._consumer.getmany(partition, timeout_ms=int(ANSWER_SECONDS * 1000))
        records: Sequence[Record] = fetched.get(partition, ())
        return records

    async def disconnect(self) -> None:
        """Disconnect; the next `read` connects again."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer, STOP_SECONDS)

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Kafka sends one batch, whatever its size.
            max_partition_fetch_bytes=1,
        )
        try:
            await consumer.start()
        except BaseException:
            await stop_consumer(consumer, STOP_SECONDS)
            raise
        # Unpacks no more of a batch than the worker's consumer does.
        check_batches(consumer, self._settings.max_record_bytes)
        return consumer
