"""A commit that Kafka takes of some partitions and not of others."""

from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.types import TP

from app.kafka.patches.refused_offsets import Refused, noting

COMMIT = OffsetCommitRequest("group", 1, "member", -1, [])


class Response:
    def __init__(self, *topics: tuple[str, list[tuple[int, int]]]) -> None:
        self.topics = list(topics)


@pytest.mark.parametrize("error", [UnknownTopicOrPartitionError, TopicAuthorizationFailedError])
async def test_a_refused_partition_is_noted_and_taken_out(error: Any) -> None:
    refused: Refused = {}
    response = await answer(Response(("a", [(0, 0), (1, error.errno)])), refused)
    assert response.topics == [("a", [(0, 0)])]
    assert refused == {TP("a", 1): error}


async def test_what_concerns_the_group_is_left_to_aiokafka() -> None:
    refused: Refused = {}
    code = NotCoordinatorForGroupError.errno
    response = await answer(Response(("a", [(0, code)])), refused)
    assert response.topics == [("a", [(0, code)])]
    assert refused == {}


async def answer(response: Response, refused: Refused) -> Any:
    async def send(_request: object) -> Response:
        return response

    return await noting(send, refused)(COMMIT)


def test_aiokafka_still_sends_commits_through_this() -> None:
    assert "_send_req" in GroupCoordinator._do_commit_offsets.__code__.co_names
