"""How far a consumer group has come, also when its coordinator is only just getting ready."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.protocol.coordination import FindCoordinatorRequest, FindCoordinatorResponse_v1

from app.audit import committed as module
from app.audit.committed import committed_offsets
from app.audit.errors import AuditError
from app.kafka.admin import Admin

GROUP = "persister"
HERE, THERE = 1, 2
COMMITTED = OffsetFetchResponse_v3(0, [("completed0", [(0, 7, "", 0), (1, -1, "", 0)])], 0)
FOUND = {TopicPartition("completed0", 0): 7}


def failed(error: Any) -> OffsetFetchResponse_v3:
    """As Kafka answers: one error, no partitions."""
    return OffsetFetchResponse_v3(0, [], error.errno)


def coordinator(node: int, error: Any = None) -> FindCoordinatorResponse_v1:
    return FindCoordinatorResponse_v1(0, error.errno if error else 0, "", node, "host", 9092)


class Client:
    """aiokafka's, with a script in the place of the brokers.

    Args:
        answers: to questions for committed offsets.
        coordinators: answers to questions for the coordinator; the last one stays.
    """

    find_coordinator: Callable[..., Awaitable[int]] = AIOKafkaAdminClient.find_coordinator

    def __init__(
        self, *answers: OffsetFetchResponse_v3, coordinators: tuple[Any, ...] = (coordinator(HERE),)
    ) -> None:
        self.answers = list(answers)
        self.coordinators = list(coordinators)
        self.asked: list[int | None] = []

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if isinstance(request, FindCoordinatorRequest):
            return self.coordinators.pop(0) if self.coordinators[1:] else self.coordinators[0]
        self.asked.append(node_id)
        return self.answers.pop(0)


def admin(*answers: OffsetFetchResponse_v3) -> Admin:
    return Admin(Client(*answers))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)


async def test_only_what_was_committed_is_there() -> None:
    assert await committed_offsets(admin(COMMITTED), GROUP) == FOUND


async def test_a_coordinator_that_is_still_loading_is_asked_again() -> None:
    loading = failed(GroupLoadInProgressError)
    assert await committed_offsets(admin(loading, loading, COMMITTED), GROUP) == FOUND


@pytest.mark.parametrize("error", [NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError])
async def test_one_that_is_not_the_coordinator_any_more_is_looked_for_again(error: Any) -> None:
    coordinators = coordinator(HERE), coordinator(THERE)
    client = Client(failed(error), COMMITTED, coordinators=coordinators)
    assert await committed_offsets(Admin(client), GROUP) == FOUND
    assert client.asked == [HERE, THERE]


async def test_a_group_without_a_coordinator_gets_one() -> None:
    missing = coordinator(-1, GroupCoordinatorNotAvailableError)
    client = Client(COMMITTED, coordinators=(missing, coordinator(THERE)))
    assert await committed_offsets(Admin(client), GROUP) == FOUND


async def test_what_stays_so_is_told_and_not_taken_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0)
    with pytest.raises(AuditError, match=rf"{GROUP}.*GroupLoadInProgressError.*try again"):
        await committed_offsets(admin(failed(GroupLoadInProgressError)), GROUP)


async def test_a_missing_right_is_an_error() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await committed_offsets(admin(failed(GroupAuthorizationFailedError)), GROUP)
    forbidden = [("completed0", [(0, -1, "", TopicAuthorizationFailedError.errno)])]
    with pytest.raises(TopicAuthorizationFailedError, match="completed0/0"):
        await committed_offsets(admin(OffsetFetchResponse_v3(0, forbidden, 0)), GROUP)
