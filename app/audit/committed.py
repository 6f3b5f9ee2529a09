"""How far a consumer group has come."""

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import GroupLoadInProgressError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from app.audit.errors import AuditError
from app.kafka.patches.committed_offsets import ELSEWHERE, checked

PATIENCE = 60.0
"""Seconds for a coordinator to be found, and to have read what it must know."""

RETRY_SECONDS = 1.0


async def committed_offsets(admin: Any, group: str) -> dict[TopicPartition, int]:
    """What the group has committed, of all topics.

    Not by the admin client's `list_consumer_group_offsets`: it takes the answer of a coordinator
    that is still loading for a group that has committed nothing.

    Args:
        admin: a started admin client.
        group: its id.

    Raises:
        AuditError: its coordinator is not there or not ready, and stays so.
        KafkaError: Kafka is not reachable, or does not allow it.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        try:
            return await _ask(admin, group)
        except (GroupLoadInProgressError, *ELSEWHERE) as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise AuditError(
                    f"Kafka does not tell what the consumer group {group} has committed "
                    f"({type(error).__name__}, for {PATIENCE:g} s): try again when its brokers "
                    "have started"
                ) from None
        await asyncio.sleep(RETRY_SECONDS)


async def _ask(admin: Any, group: str) -> dict[TopicPartition, int]:
    # Looked for each time: after an error another broker may be the one.
    coordinator = await admin.find_coordinator(group)

    async def send(request: OffsetFetchRequest) -> Any:
        return await admin._send_request(request, coordinator)  # noqa: SLF001

    answer = await checked(send, lambda: None)(OffsetFetchRequest(group, None))
    found = {}
    for topic, partitions in answer.topics:
        for number, offset, _, code in partitions:
            if code:
                raise for_code(code)(f"cannot read what is committed of {topic}/{number}")
            if offset >= 0:
                found[TopicPartition(topic, number)] = offset
    return found
