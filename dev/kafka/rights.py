"""Giving and taking rights in Kafka (ACLs)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from app.kafka.clients import client_options
from app.settings import KafkaSettings

# Numbers of Kafka's protocol: ResourceType, PatternType, AclOperation, AclPermissionType.
TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 2, 3, 4, 5
LITERAL = 3
ALL, READ, WRITE = 2, 3, 4
DENY, ALLOW = 2, 3
ANY_HOST = "*"


class Rights:
    """Those of one user.

    Args:
        client: of a user who may grant them; started.
        user: whose they are.
    """

    def __init__(self, client: AIOKafkaAdminClient, user: str) -> None:
        self._client = client
        self._principal = f"User:{user}"

    async def allow_everything(self) -> None:
        """All on every topic, group and transactional id, and on the cluster."""
        for kind in (TOPIC, GROUP, TRANSACTIONAL_ID):
            await self._create(kind, "*", ALL, ALLOW)
        await self._create(CLUSTER, "kafka-cluster", ALL, ALLOW)

    async def deny_reading(self, topic: str) -> None:
        """Leave the right to see the topic, and take the one to read it."""
        await self._create(TOPIC, topic, READ, DENY)

    async def deny_writing(self, topic: str) -> None:
        """Leave the rights to see and read the topic, and take the one to write to it."""
        await self._create(TOPIC, topic, WRITE, DENY)

    async def stop_denying(self, topic: str, operation: int = READ) -> None:
        """Undo `deny_reading`, or what else was denied."""
        request = DeleteAclsRequest(
            TOPIC, topic, LITERAL, self._principal, ANY_HOST, operation, DENY
        )
        await self._client._send_request(request)  # noqa: SLF001 - has no public one

    async def deny_group(self, group: str) -> None:
        """Take the right to use a consumer group."""
        await self._create(GROUP, group, READ, DENY)

    async def _create(self, kind: int, name: str, operation: int, permission: int) -> None:
        request = CreateAclsRequest(
            kind, name, LITERAL, self._principal, ANY_HOST, operation, permission
        )
        answer: Any = await self._client._send_request(request)  # noqa: SLF001 - as above
        ((code, reason),) = answer.creation_responses
        if code:
            raise for_code(code)(f"cannot change rights on {name}: {reason}")


@asynccontextmanager
async def rights(kafka_url: str, user: str) -> AsyncIterator[Rights]:
    """Those of a user, through a listener that everybody may use."""
    client = AIOKafkaAdminClient(**client_options(KafkaSettings(url=kafka_url)))
    await client.start()
    try:
        yield Rights(client, user)
    finally:
        await client.close()
