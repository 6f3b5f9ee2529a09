"""What aiokafka's coordinator makes of answers with committed offsets."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from app.kafka.patches.committed_offsets import watch_committed_offsets

PARTITION = TopicPartition("documents", 0)
COMMITTED = OffsetFetchResponse_v3(0, [("documents", [(0, 7, "", 0)])], 0)
NEVER_COMMITTED = OffsetFetchResponse_v3(0, [("documents", [(0, -1, "", 0)])], 0)


def failed(error: Any) -> OffsetFetchResponse_v3:
    """As Kafka 4 answers: one error, no partitions."""
    return OffsetFetchResponse_v3(0, [], error.errno)


class Coordinator:
    """aiokafka's, with a script in the place of the broker."""

    fetch_committed_offsets = GroupCoordinator.fetch_committed_offsets
    _do_fetch_commit_offsets = GroupCoordinator._do_fetch_commit_offsets
    group_id = "persister"
    _retry_backoff_ms = 0

    def __init__(self, *answers: OffsetFetchResponse_v3) -> None:
        self.answers = list(answers)
        self.deaths = 0
        watch_committed_offsets(self)

    async def ensure_coordinator_known(self) -> None:
        pass

    async def _send_req(self, _request: Any) -> OffsetFetchResponse_v3:
        return self.answers.pop(0)

    def coordinator_dead(self) -> None:
        self.deaths += 1

    async def committed(self) -> int | None:
        found: dict[TopicPartition, Any] = await self.fetch_committed_offsets([PARTITION])
        return found[PARTITION].offset if found else None


async def test_committed_and_never_committed_are_told_apart() -> None:
    assert await Coordinator(COMMITTED).committed() == 7
    assert await Coordinator(NEVER_COMMITTED).committed() is None


@pytest.mark.parametrize(
    "number, meant", [(-2, None), (-(2**63), None), (0, 0), (2**63 - 1, 2**63 - 1)]
)
async def test_a_member_may_have_committed_any_number(number: int, meant: int | None) -> None:
    answer = OffsetFetchResponse_v3(0, [("documents", [(0, number, "", 0)])], 0)
    assert await Coordinator(answer).committed() == meant


async def test_a_coordinator_that_is_still_loading_is_asked_again() -> None:
    loading = failed(GroupLoadInProgressError)
    assert await Coordinator(loading, loading, COMMITTED).committed() == 7


@pytest.mark.parametrize("error", [NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError])
async def test_one_that_is_not_the_coordinator_any_more_is_looked_for_again(error: Any) -> None:
    coordinator = Coordinator(failed(error), COMMITTED)
    assert await coordinator.committed() == 7
    assert coordinator.deaths == 1


async def test_a_missing_right_is_an_error() -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await Coordinator(failed(GroupAuthorizationFailedError)).committed()


async def test_other_answers_pass() -> None:
    coordinator = Coordinator()
    answer: Any = SimpleNamespace(error_code=GroupLoadInProgressError.errno)
    coordinator.answers.append(answer)
    assert await coordinator._send_req(object()) is answer
