"""Keeps places in topics as what a consumer group without members has committed."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.clients import client_options
from app.kafka.stopping import stop_consumer
from app.settings import KafkaSettings

STOP_SECONDS = 5.0
"""How long to wait for the client to disconnect."""

ANSWER_SECONDS = 60.0
"""How long Kafka may take; aiokafka tries again for ever while it finds no coordinator."""


async def keep(settings: KafkaSettings, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit offsets for a group.

    Raises:
        KafkaError: Kafka cannot be reached, or refuses.
        TimeoutError: it does not answer in time.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=group, enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign(list(offsets))
        async with asyncio.timeout(ANSWER_SECONDS):
            await consumer.commit(dict(offsets))
    finally:
        await stop_consumer(consumer, STOP_SECONDS)
