"""A subscription that changes while the group's coordinator is away, on aiokafka's own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.group import JoinGroupRequest, JoinGroupRequest_v5

from app.kafka.patches.changed_subscriptions import notice_changed_subscriptions
from tests.fakes.time import until


class Client:
    """A cluster whose coordinator is away until it is told to be there."""

    def __init__(self) -> None:
        self.cluster = ClusterMetadata()
        self.there = asyncio.Event()
        self.looked_for = 0
        self.joins: list[bytes] = []

    def set_topics(self, _topics: object) -> None: ...

    async def coordinator_lookup(self, *_: object) -> int:
        self.looked_for += 1
        await self.there.wait()
        return 1

    async def ready(self, *_: object, **__: object) -> bool:
        return True

    async def send(self, _node: object, request: Any, **_: object) -> Any:
        if isinstance(request, JoinGroupRequest):
            self.joins.append(request.build(JoinGroupRequest_v5).encode())
        raise NodeNotReadyError


@pytest.fixture
async def client() -> Client:
    return Client()


@pytest.fixture
async def subscriptions() -> SubscriptionState:
    subscriptions = SubscriptionState()
    subscriptions.subscribe({"old-topic"})
    subscriptions.assign_from_subscribed([])
    return subscriptions


@pytest.fixture
async def coordinator(client: Client, subscriptions: Any) -> AsyncIterator[Any]:
    coordinator = GroupCoordinator(client, subscriptions, retry_backoff_ms=1)
    notice_changed_subscriptions(coordinator)
    yield coordinator
    coordinator._closing.set_result(None)
    await coordinator._coordination_task


async def test_the_group_is_joined_with_what_is_subscribed_to_now(
    client: Client, subscriptions: Any, coordinator: Any
) -> None:
    await until(lambda: client.looked_for == 1)
    subscriptions.subscribe({"old-topic", "new-topic"})
    client.there.set()
    await until(lambda: bool(client.joins) or coordinator._coordination_task.done())
    assert not coordinator._coordination_task.done()
    assert b"new-topic" in client.joins[0]


async def test_nothing_is_joined_where_nothing_has_changed(
    client: Client, coordinator: Any
) -> None:
    await until(lambda: client.looked_for == 1)
    client.there.set()
    await until(lambda: coordinator.coordinator_id == 1)
    await asyncio.sleep(0)
    assert client.joins == []
    assert not coordinator._coordination_task.done()
