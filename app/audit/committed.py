"""Reads the committed offsets of a consumer group."""

import asyncio

from app.audit.errors import AuditError
from app.kafka.admin import Admin
from app.kafka.errors import COORDINATOR_NOT_READY
from app.kafka.reader import TopicPartition

PATIENCE = 60.0
"""Seconds to find the group's coordinator and wait until it has loaded the group."""

RETRY_SECONDS = 1.0


async def committed_offsets(admin: Admin, group: str) -> dict[TopicPartition, int]:
    """The group's committed offsets, of all topics.

    Args:
        admin: connected.
        group: its id.

    Raises:
        AuditError: its coordinator is not there or not ready, and stays so.
        KafkaError: Kafka is not reachable, or does not allow it.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return await admin.committed(group)
        except COORDINATOR_NOT_READY as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise AuditError(
                    f"Kafka does not tell what the consumer group {group} has committed "
                    f"({type(error).__name__}, for {PATIENCE:g} s): try again when its brokers "
                    "have started"
                ) from None
        await asyncio.sleep(RETRY_SECONDS)
