"""What the group says to a member: what ends it, and what it tries again."""

import asyncio
import zlib
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaError,
)
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from app.kafka.patches import refused_joins as module
from app.kafka.patches.refused_joins import (
    _LARGEST,
    FENCED,
    GROUP_FULL,
    ID_REQUIRED,
    AssignmentError,
    Membership,
    completing,
)
from app.settings import KafkaSettings
from tests.fakes.time import until

HEARTBEAT = HeartbeatRequest("group", 1, "member")
JOIN = JoinGroupRequest("group", 1, 1, "", None, "consumer", [])
COMMIT = OffsetCommitRequest("group", 1, "member", -1, [])
COMMITTED = OffsetFetchRequest("group", [])
UNKNOWN_MEMBER = 25


class Member:
    """A member with its group, and what it did about the answers."""

    def __init__(self, **settings: Any) -> None:
        self.ended: list[str] = []
        self.said: list[str] = []
        self.now = 100.0
        self.rejoined = 0
        self._closing = asyncio.get_running_loop().create_future()
        self.membership = Membership(
            KafkaSettings(session_timeout=10, **settings),
            self.ended.append,
            self.said.append,
            clock=lambda: self.now,
        )

    def request_rejoin(self) -> None:
        self.rejoined += 1

    async def hear(self, request: Any, code: int, leader: str = "other") -> bool:
        """Send a request; returns whether aiokafka sees the answer."""
        topics = [("topic", [(0, code)])]
        answer = SimpleNamespace(
            error_code=code, topics=topics, member_id="member", leader_id=leader
        )

        async def send(_request: object) -> Any:
            return answer

        sender = self.membership.hearing(send, self._closing)
        heard = asyncio.ensure_future(sender(request))
        done, _ = await asyncio.wait([heard], timeout=0.02)
        if not done:
            heard.cancel()
        return bool(done) and heard.exception() is None

    async def judge(self, error: BaseException) -> None:
        judging = asyncio.create_task(self.membership.judge(error, self))
        await asyncio.wait([judging], timeout=0.02)
        judging.cancel()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)


async def test_a_member_that_is_to_have_an_id_joins_at_once_and_then_after_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 3600)
    member = Member()
    assert await member.hear(JOIN, ID_REQUIRED)
    assert not await member.hear(JOIN, ID_REQUIRED)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    assert await member.hear(JOIN, ID_REQUIRED)
    assert await member.hear(JOIN, 0)


async def test_who_leads_the_group_is_known_from_the_last_join() -> None:
    member = Member()
    assert not member.membership.leads
    await member.hear(JOIN, 0, leader="member")
    assert member.membership.leads
    await member.hear(JOIN, UNKNOWN_MEMBER)
    assert member.membership.leads  # no answer to that
    await member.hear(JOIN, 0, leader="other")
    assert not member.membership.leads


@pytest.mark.parametrize(
    "error,named",
    [
        (InvalidSessionTimeoutError(), "PERSISTER_SESSION_TIMEOUT=10"),
        (InvalidGroupIdError(), "PERSISTER_APP_ID"),
        (GroupAuthorizationFailedError("group"), "grant Read"),
    ],
)
async def test_what_cannot_pass_ends_the_worker(error: BaseException, named: str) -> None:
    member = Member()
    await member.judge(error)
    assert named in member.ended[0]
    assert (member.said, member.rejoined) == ([], 0)


@pytest.mark.parametrize(
    "code,error,named",
    [
        (
            InconsistentGroupProtocolError.errno,
            InconsistentGroupProtocolError(),
            "a member of another application",
        ),
        (GROUP_FULL, KafkaError("UnknownError()"), "is full"),
        (-1, KafkaError("UnknownError()"), "restarting that broker helps"),
        (99, KafkaError("UnknownError()"), "does not take this worker"),
        (0, AssignmentError("x"), "A member that is no worker leads the consumer group"),
    ],
)
async def test_what_can_pass_is_said_once_and_tried_again(
    code: int, error: BaseException, named: str
) -> None:
    member = Member()
    for _ in range(3):
        await member.hear(JOIN, code)
        await member.judge(error)
    assert named in member.said[0]
    assert member.membership.refused == member.said[0]
    assert (len(member.said), member.rejoined, member.ended) == (1, 3, [])
    member.membership.joined()
    assert member.membership.refused is None


@pytest.mark.parametrize("request_", [HEARTBEAT, JOIN, COMMIT, COMMITTED])
async def test_a_right_that_is_withdrawn_is_named_whichever_request_meets_it_first(
    request_: Any,
) -> None:
    member = Member()
    # aiokafka must not see it: it would raise to whoever commits or seeks.
    assert not await member.hear(request_, GroupAuthorizationFailedError.errno)
    assert "PERSISTER_APP_ID): grant Read" in member.ended[0]


@pytest.mark.parametrize("request_", [HEARTBEAT, COMMIT])
async def test_a_static_member_that_is_unknown_while_heard_has_been_replaced(request_: Any) -> None:
    member = Member(instance_id="host-a")
    assert await member.hear(HEARTBEAT, 0)
    member.now += 3
    # aiokafka must not see it: it would join again, and end the other one in turn.
    assert not await member.hear(request_, UNKNOWN_MEMBER)
    assert "PERSISTER_INSTANCE_ID=host-a" in member.ended[0]


async def test_a_static_member_whose_session_may_have_ended_joins_again() -> None:
    member = Member(instance_id="host-a")
    assert await member.hear(HEARTBEAT, 0)
    member.now += 9
    assert await member.hear(HEARTBEAT, UNKNOWN_MEMBER)
    assert member.ended == []


async def test_a_member_without_an_instance_id_joins_again() -> None:
    member = Member()
    assert await member.hear(HEARTBEAT, 0)
    assert await member.hear(HEARTBEAT, UNKNOWN_MEMBER)
    assert await member.hear(JOIN, FENCED)  # which cannot be true
    assert member.ended == []


async def test_a_fenced_member_ends() -> None:
    member = Member(instance_id="host-a")
    assert not await member.hear(JOIN, FENCED)
    assert len(member.ended) == 1


class Consumer:
    """An aiokafka consumer with its three background tasks."""

    def __init__(self, running: "asyncio.Task[Any]") -> None:
        self._closed = False
        self._coordinator = SimpleNamespace(
            _send_req=None,
            _closing=None,
            _coordination_task=running,
            _on_join_complete=None,
        )
        self._fetcher = SimpleNamespace(_fetch_task=running)
        self._client = SimpleNamespace(_sync_task=running)


@pytest.mark.parametrize("state,ended", [("open", 3), ("closed", 0)])
async def test_a_background_task_that_ends_ends_the_worker(state: str, ended: int) -> None:
    async def fail() -> None:
        raise AssertionError("a defect")

    member = Member()
    task = asyncio.create_task(fail())
    consumer = Consumer(task)
    consumer._closed = state == "closed"
    member.membership.watch(consumer)
    await asyncio.wait([task])
    assert isinstance(task.exception(), AssertionError)
    await until(lambda: len(member.ended) == ended)


@pytest.mark.parametrize(
    "wrong", [AssertionError("\x1b[2J" + "x" * 9999), TypeError(), ValueError()]
)
async def test_what_the_group_s_leader_assigns_does_not_end_aiokafka(wrong: Exception) -> None:
    """Its task would end, the worker with it, and so would the next one."""

    async def complete(*_: object) -> None:
        raise wrong

    with pytest.raises(AssignmentError) as failed:
        await completing(complete)(1, "member", "faust", b"\xff")
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 300


async def test_an_error_of_kafka_s_stays_what_it_is_while_an_assignment_is_taken() -> None:
    async def complete(*_: object) -> None:
        raise GroupAuthorizationFailedError("group")

    with pytest.raises(GroupAuthorizationFailedError):
        await completing(complete)(1, "member", "faust", assignment(b""))


@pytest.mark.parametrize("size, taken", [(_LARGEST, True), (_LARGEST + 1, False)])
async def test_an_assignment_is_unpacked_up_to_a_size(size: int, taken: bool) -> None:  # noqa: FBT001
    """Sixteen kilobytes may become sixteen megabytes, and a hundred megabytes too many."""
    completed = []

    async def complete(*given: object) -> None:
        completed.append(given)

    joined = (1, "member", "faust", assignment(zlib.compress(bytes(size))))
    with nullcontext() if taken else pytest.raises(AssignmentError, match="more than"):
        await completing(complete)(*joined)
    assert completed == ([joined] if taken else [])


def assignment(user_data: bytes) -> bytes:
    encoded: bytes = ConsumerProtocolMemberAssignment(0, [("topic", [0])], user_data).encode()
    return encoded
