"""Where a leader's epoch ends: the request and the answer."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, NodeNotReadyError
from faust.types import TP

from app.kafka.delivery import epochs
from app.kafka.delivery.epochs import OffsetForLeaderEpoch, ends

FIRST, SECOND, THIRD, OTHER = TP("one", 0), TP("one", 1), TP("one", 2), TP("two", 0)
NOT_LEADER, FENCED = 6, 74
NEVER = "never"


class Client:
    """aiokafka's, of a cluster whose brokers have these answers: (error, partition, epoch, end)."""

    def __init__(self, leaders: dict[TP, int | None], answers: dict[int, Any]) -> None:
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: leaders[TP(*tp)])
        self._answers = answers
        self.asked: dict[int, Any] = {}

    async def send(self, node: int, request: OffsetForLeaderEpoch) -> Any:
        struct = request.prepare({23: (2, 4)})
        # What is on the wire, and back.
        self.asked[node] = type(struct).decode(struct.encode()).topics
        answer = self._answers[node]
        if isinstance(answer, Exception):
            raise answer
        if answer is NEVER:
            await asyncio.Event().wait()
        return SimpleNamespace(topics=answer)


async def test_each_leader_is_asked_of_its_partitions() -> None:
    client = Client(
        {FIRST: 1, SECOND: 2, OTHER: 1},
        {1: [("one", [(0, 0, 4, 50)]), ("two", [(0, 0, 7, 9)])], 2: [("one", [(0, 1, 5, 60)])]},
    )
    assert await ends(client, {FIRST: 5, SECOND: 5, OTHER: 7}) == {FIRST: 50, SECOND: 60, OTHER: 9}
    assert client.asked[1] == [("one", [(0, -1, 5)]), ("two", [(0, -1, 7)])]
    assert client.asked[2] == [("one", [(1, -1, 5)])]


async def test_what_a_leader_cannot_say_is_told_from_who_does_not_answer() -> None:
    client = Client(
        {FIRST: None, SECOND: 2, OTHER: 2, THIRD: 2},
        {
            2: [
                ("one", [(0, 1, -1, -1), (NOT_LEADER, 2, -1, -1)]),
                ("two", [(FENCED, 0, -1, 7)]),
                ("three", [(0, 0, 1, 1)]),
            ]
        },
    )
    asked = {FIRST: 5, SECOND: 5, THIRD: 5, OTHER: 7}
    assert await ends(client, asked) == {SECOND: None, OTHER: None}


@pytest.mark.parametrize("error", [IncompatibleBrokerVersion("no"), NotImplementedError("no")])
async def test_a_broker_that_is_too_old_cannot_say(error: Exception) -> None:
    assert await ends(Client({FIRST: 1}, {1: error}), {FIRST: 5}) == {FIRST: None}


@pytest.mark.parametrize("answer", [NodeNotReadyError("away"), NEVER])
async def test_a_leader_that_does_not_answer_keeps_none_of_the_others_from_it(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs, "ANSWER_SECONDS", 0.01)
    client = Client({FIRST: 1, OTHER: 2}, {1: answer, 2: [("two", [(0, 0, 7, 9)])]})
    assert await ends(client, {FIRST: 5, OTHER: 7}) == {OTHER: 9}
