"""What becomes of a commit whose answer comes when nobody waits any more."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CommitFailedError, KafkaError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitResponse_v2
from aiokafka.structs import OffsetAndMetadata

from app.kafka.patches.abandoned_commits import drop_abandoned_commits

OFFSETS = {TopicPartition("documents", 0): OffsetAndMetadata(7, "")}


def answer(error: int) -> OffsetCommitResponse_v2:
    return OffsetCommitResponse_v2([("documents", [(0, error)])])


class Coordinator:
    """aiokafka's, with a broker that answers when it is told to."""

    commit_offsets = GroupCoordinator.commit_offsets
    _do_commit_offsets = GroupCoordinator._do_commit_offsets
    group_id, generation, member_id, coordinator_id = "persister", 1, "member", 1
    _retry_backoff_ms = 0

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.refused = asyncio.Event()
        self._commit_lock = asyncio.Lock()

    async def ensure_coordinator_known(self) -> None:
        pass

    async def _send_req(self, _request: Any) -> OffsetCommitResponse_v2:
        self.asked.set()
        return answer(await self.answered)

    def reset_generation(self) -> None:
        self.refused.set()


@pytest.fixture
async def unretrieved() -> AsyncIterator[list[str]]:
    """What asyncio would log."""
    logged: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: logged.append(context["message"]))
    yield logged
    loop.set_exception_handler(None)


async def abandoned(coordinator: Coordinator, error: type[KafkaError]) -> None:
    """Begin a commit, give up waiting for it, and have it refused."""
    commit = asyncio.ensure_future(coordinator.commit_offsets(None, OFFSETS))
    await coordinator.asked.wait()
    commit.cancel()
    await asyncio.wait([commit])
    coordinator.answered.set_result(error.errno)
    await coordinator.refused.wait()
    await asyncio.sleep(0)
    gc.collect()


async def test_aiokafka_leaves_its_error_to_nobody(unretrieved: list[str]) -> None:
    await abandoned(Coordinator(), UnknownMemberIdError)
    assert len(unretrieved) == 1, "aiokafka has mended it: the patch can go"


async def test_its_error_is_dropped(unretrieved: list[str]) -> None:
    coordinator = Coordinator()
    drop_abandoned_commits(coordinator)
    await abandoned(coordinator, UnknownMemberIdError)
    assert unretrieved == []


async def test_who_waits_gets_the_error_or_the_end() -> None:
    refused, taken = Coordinator(), Coordinator()
    for coordinator, error in ((refused, UnknownMemberIdError.errno), (taken, 0)):
        drop_abandoned_commits(coordinator)
        coordinator.answered.set_result(error)
    with pytest.raises(CommitFailedError):
        await refused.commit_offsets(None, OFFSETS)
    await taken.commit_offsets(None, OFFSETS)
