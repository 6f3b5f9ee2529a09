"""Keeps places in topics as what a consumer group without members has committed."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.clients import client_options
from app.settings import KafkaSettings


async def keep(settings: KafkaSettings, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit offsets for a group; raises `KafkaError` if Kafka cannot be reached or refuses."""
    consumer = AIOKafkaConsumer(
        **client_options(settings), group_id=group, enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign(list(offsets))
        await consumer.commit(dict(offsets))
    finally:
        await consumer.stop()
