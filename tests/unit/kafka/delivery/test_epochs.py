"""Where a leader's epoch ends: the request and the answer."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, NodeNotReadyError
from faust.types import TP

from app.kafka.delivery import epochs
from app.kafka.delivery.epochs import End, OffsetForLeaderEpoch, cut, ends
from app.kafka.patches.new_leaders import Read

FIRST, SECOND, THIRD, OTHER = TP("one", 0), TP("one", 1), TP("one", 2), TP("two", 0)
UNKNOWN, NOT_LEADER, FORBIDDEN, UNSUPPORTED, FENCED = -1, 6, 29, 35, 74
NEVER = "never"
NOWHERE = Read(0, None)


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
    assert await ends(client, {FIRST: 5, SECOND: 5, OTHER: 7}) == {
        FIRST: End(4, 50),
        SECOND: End(5, 60),
        OTHER: End(7, 9),
    }
    assert client.asked[1] == [("one", [(0, -1, 5)]), ("two", [(0, -1, 7)])]
    assert client.asked[2] == [("one", [(1, -1, 5)])]


async def test_of_what_has_no_leader_and_what_was_not_asked_nothing_is_told() -> None:
    answer = [("one", [(0, 1, -1, -1)]), ("three", [(0, 0, 1, 1)])]
    client = Client({FIRST: None, SECOND: 2}, {2: answer})
    assert await ends(client, {FIRST: 5, SECOND: 5}) == {SECOND: End(-1, -1)}


@pytest.mark.parametrize("error", [UNKNOWN, NOT_LEADER, FORBIDDEN, FENCED, 9999])
async def test_an_error_is_no_answer(error: int) -> None:
    """A broker's own trouble passes; what it has meanwhile would be read as if it were known."""
    client = Client({FIRST: 2, THIRD: 2}, {2: [("one", [(error, 0, -1, -1), (0, 2, 5, 7)])]})
    assert await ends(client, {FIRST: 5, THIRD: 5}) == {THIRD: End(5, 7)}


async def test_a_leader_that_does_not_support_the_question_cannot_say() -> None:
    client = Client({FIRST: 2}, {2: [("one", [(UNSUPPORTED, 0, -1, -1)])]})
    assert await ends(client, {FIRST: 5}) == {FIRST: None}


@pytest.mark.parametrize(
    "end, found",
    [
        pytest.param(None, None, id="nobody can say"),
        pytest.param(End(5, 70), None, id="it has all"),
        pytest.param(End(5, 69), Read(69, 5), id="it lacks the last record"),
        pytest.param(End(5, 0), Read(0, 5), id="it has nothing of it"),
        pytest.param(End(3, 40), Read(40, 3), id="it never had the epoch"),
        pytest.param(End(3, 70), NOWHERE, id="it never had the epoch, and an earlier one went on"),
        pytest.param(End(6, 70), NOWHERE, id="it names a later one than was asked for"),
        pytest.param(End(-1, -1), NOWHERE, id="its epochs are not that far yet"),
    ],
)
def test_where_a_log_is_not_the_one_that_was_read(end: End | None, found: Read | None) -> None:
    assert cut([Read(70, 5)], end) == found


@pytest.mark.parametrize(
    "end, found",
    [
        pytest.param(End(6, 90), None, id="it has all"),
        pytest.param(End(6, 80), Read(80, 6), id="it lacks the last record"),
        pytest.param(End(5, 60), Read(60, 5), id="it never had the last epoch"),
        pytest.param(End(5, 80), Read(70, 5), id="and went on in the one before"),
        pytest.param(End(5, 900), Read(70, 5), id="and has more of it by now"),
        pytest.param(End(4, 75), Read(30, 4), id="it has an epoch that was never read"),
        pytest.param(End(2, 20), Read(20, 2), id="it has no epoch that was read"),
        pytest.param(End(2, 30), NOWHERE, id="and has others where the first ones were read"),
    ],
)
def test_a_log_that_went_on_in_an_earlier_epoch_is_another_one_from_where_that_was_left(
    end: End, found: Read | None
) -> None:
    """A leader that was replaced leads again, and what it has there was never read."""
    assert cut([Read(30, 3), Read(40, None), Read(70, 5), Read(90, 6)], end) == found


@pytest.mark.parametrize("error", [IncompatibleBrokerVersion("no"), NotImplementedError("no")])
async def test_a_broker_that_is_too_old_cannot_say(error: Exception) -> None:
    assert await ends(Client({FIRST: 1}, {1: error}), {FIRST: 5}) == {FIRST: None}


@pytest.mark.parametrize("answer", [NodeNotReadyError("away"), NEVER])
async def test_a_leader_that_does_not_answer_keeps_none_of_the_others_from_it(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs, "ANSWER_SECONDS", 0.01)
    client = Client({FIRST: 1, OTHER: 2}, {1: answer, 2: [("two", [(0, 0, 7, 9)])]})
    assert await ends(client, {FIRST: 5, OTHER: 7}) == {OTHER: End(7, 9)}
