"""A rebalance that comes while the worker stops, on aiokafka's own coordinator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRebalanceListener
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import NodeNotReadyError
from aiokafka.protocol.group import JoinGroupRequest, LeaveGroupRequest

from app.kafka.patches.stopping_members import join_no_more
from tests.fakes.time import until


class Client:
    """A cluster that has a coordinator, which refuses whatever but a farewell."""

    def __init__(self) -> None:
        self.cluster = ClusterMetadata()
        self.asked: list[type] = []

    def set_topics(self, _topics: object) -> None: ...

    async def coordinator_lookup(self, *_: object) -> int:
        return 1

    async def ready(self, *_: object, **__: object) -> bool:
        return True

    async def send(self, _node: object, request: Any, **_: object) -> Any:
        self.asked.append(type(request))
        if isinstance(request, LeaveGroupRequest):
            return SimpleNamespace(error_code=0)
        raise NodeNotReadyError


class Worker(ConsumerRebalanceListener):  # type: ignore[misc]
    """Stops, or gives up its partitions."""

    def __init__(self) -> None:
        self.stopping = False
        self.at_revocation: Callable[[], object] = lambda: None
        self.revocations = 0

    async def on_partitions_revoked(self, _: object) -> None:
        self.revocations += 1
        self.at_revocation()

    async def on_partitions_assigned(self, _: object) -> None: ...


@pytest.fixture
async def client() -> Client:
    return Client()


@pytest.fixture
async def worker() -> Worker:
    return Worker()


@pytest.fixture
async def coordinator(client: Client, worker: Worker) -> AsyncIterator[Any]:
    """One of a member that the group has accepted."""
    subscriptions = SubscriptionState()
    subscriptions.subscribe({"topic"}, listener=worker)
    subscriptions.assign_from_subscribed([])
    coordinator = GroupCoordinator(client, subscriptions, retry_backoff_ms=1)
    join_no_more(coordinator, lambda: worker.stopping)
    coordinator.generation, coordinator.member_id = 1, "member"
    await until(lambda: coordinator.coordinator_id == 1)
    yield coordinator
    await coordinator.close()


async def test_a_worker_that_stops_keeps_its_partitions_and_leaves(
    client: Client, worker: Worker, coordinator: Any
) -> None:
    worker.stopping = True
    coordinator.request_rejoin()
    await coordinator.close()
    assert worker.revocations == 0
    assert client.asked == [LeaveGroupRequest]


async def test_a_worker_that_is_stopped_as_it_gives_up_its_partitions_leaves(
    client: Client, worker: Worker, coordinator: Any
) -> None:
    worker.at_revocation = lambda: setattr(worker, "stopping", True)
    coordinator.request_rejoin()
    await until(lambda: worker.revocations == 1)
    await coordinator.close()
    assert client.asked == [LeaveGroupRequest]


async def test_a_worker_that_goes_on_joins_again(client: Client, coordinator: Any) -> None:
    coordinator.request_rejoin()
    await until(lambda: JoinGroupRequest in client.asked)
    await asyncio.wait_for(coordinator.close(), 5)
