"""Handles joins that the coordinator refuses, and background tasks of aiokafka that end.

aiokafka 0.14 hands such an error (`GroupCoordinator._push_error_to_user`) to the next call of
`getone` or `getmany`, and does nothing more until that has raised it. Faust fetches below these
methods, so nobody ever sees it: one line in the log, and a member that never joins, also when the
cause is gone (aio-libs/aiokafka#44, dpkp/kafka-python#837). The same holds for its background
tasks: when one ends with an error, only these methods would tell. What a group's leader assigns,
which may be any client, ends them so as soon as it is not what aiokafka expects.

Here the error is judged at once: what can pass is tried again, what cannot ends the worker.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaError,
    MemberIdRequired,
    UnknownError,
    UnknownMemberIdError,
)
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest

from app.process.printable import printable
from app.settings import KafkaSettings

Send = Callable[[Any], Awaitable[Any]]
Complete = Callable[..., Awaitable[None]]

_LONGEST = 200
"""Characters shown of an error, which may quote names of topics."""

_LARGEST = 16 * 1024 * 1024
"""Bytes that an assignment may unpack to: enough for a million partitions."""

RETRY_SECONDS = 2.0

GROUP_FULL, FENCED = 81, 82
"""Error codes that aiokafka does not know: GROUP_MAX_SIZE_REACHED and FENCED_INSTANCE_ID."""

INCONSISTENT = InconsistentGroupProtocolError.errno

ID_REQUIRED = MemberIdRequired.errno
"""MEMBER_ID_REQUIRED: the first join brings the id with which to join (KIP-394)."""

OF_A_MEMBER = (HeartbeatRequest, JoinGroupRequest, SyncGroupRequest)


class AssignmentError(KafkaError):
    """The group's leader has sent an assignment that this member cannot read."""


SURELY = 0.8
"""Share of the session timeout for which a member surely stays in the group after a heartbeat."""


class Membership:
    """Follows what the coordinator says about this member.

    Args:
        settings: the settings that messages refer to.
        end: ends the worker with an error message; called in the consumer's thread.
        say: logs that something fails and is tried again.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        end: Callable[[str], object],
        say: Callable[[str], object],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._end = end
        self._say = say
        self._clock = clock
        self._code = 0
        self._heard = -settings.session_timeout
        self.refused: str | None = None
        """Why the group does not accept this member; None if it does."""
        self.leads = False
        """Whether this member leads the group, by the last answer to a join: it assigns."""

    def watch(self, consumer: Any) -> None:
        """Follow an aiokafka consumer, which has just been started.

        Its three background tasks may end only when it closes; otherwise the worker ends.
        """
        coordinator = consumer._coordinator  # noqa: SLF001
        closing = coordinator._closing  # noqa: SLF001
        coordinator._send_req = self.hearing(coordinator._send_req, closing)  # noqa: SLF001

        async def judge(error: BaseException) -> None:
            await self.judge(error, coordinator)

        coordinator._push_error_to_user = judge  # noqa: SLF001
        coordinator._on_join_complete = completing(coordinator._on_join_complete)  # noqa: SLF001
        for task in (
            coordinator._coordination_task,  # noqa: SLF001
            consumer._fetcher._fetch_task,  # noqa: SLF001
            consumer._client._sync_task,  # noqa: SLF001
        ):
            task.add_done_callback(lambda ended: self._on_end(consumer, ended))

    def joined(self) -> None:
        """Note that the group has accepted this member."""
        self.refused = None

    def hearing(self, send: Send, closing: "asyncio.Future[Any]") -> Send:
        """Wrap a sender of the coordinator's requests to follow the answers.

        Args:
            send: sends a request and returns the answer.
            closing: done when the consumer closes.
        """

        async def send_hearing(request: Any) -> Any:
            response = await send(request)
            codes = _codes(request, response)
            if isinstance(request, OF_A_MEMBER):
                before, (self._code,) = self._code, codes
                if before == self._code == ID_REQUIRED:
                    # aiokafka joins again at once, as is right the first time.
                    await asyncio.wait([closing], timeout=RETRY_SECONDS)
                if isinstance(request, JoinGroupRequest) and not self._code:
                    self.leads = response.leader_id == response.member_id
            if (reason := self._final(codes)) is not None:
                self._end(reason)
                if isinstance(request, OffsetCommitRequest):
                    raise CommitFailedError
                # aiokafka must not react to this error: it would rejoin and fence off the other
                # member in turn, or raise where nobody notices.
                await asyncio.wait([closing])
                if not isinstance(request, HeartbeatRequest):
                    raise GroupCoordinatorNotAvailableError
                response.error_code = 0
            return response

        return send_hearing

    def _final(self, codes: list[int]) -> str | None:
        if GroupAuthorizationFailedError.errno in codes:
            return self._not_allowed()
        if any(self._fenced(code) for code in codes):
            return (
                f"Another worker has joined the group {self._settings.app_id} as "
                f"PERSISTER_INSTANCE_ID={self._settings.instance_id}: give each worker an "
                "instance id of its own, or none"
            )
        return None

    def _not_allowed(self) -> str:
        return (
            f"This client may not use the consumer group {self._settings.app_id} "
            "(PERSISTER_APP_ID): grant Read on it"
        )

    def _fenced(self, code: int) -> bool:
        """Whether another member with the same instance id has replaced this one.

        aiokafka's heartbeats lack the instance id, so the broker reports only an unknown member.
        But a member stays known for its session timeout, so one that was heard recently must have
        been replaced.
        """
        now = self._clock()
        if code == 0:
            self._heard = now
        recent = now - self._heard < SURELY * self._settings.session_timeout
        static = self._settings.instance_id is not None
        return static and (code == FENCED or (code == UnknownMemberIdError.errno and recent))

    async def judge(self, error: BaseException, coordinator: Any) -> None:
        """End the worker for a lasting error; otherwise return when it is time to try again."""
        if (reason := self._lasting(error)) is not None:
            self._end(reason)
            await coordinator._closing  # noqa: SLF001
            return
        reason = self._passing(error)
        if reason != self.refused:
            self._say(reason)
        self.refused = reason
        # A member must rejoin after a refused heartbeat as well as after a refused join.
        coordinator.request_rejoin()
        await asyncio.wait([coordinator._closing], timeout=RETRY_SECONDS)  # noqa: SLF001

    def _lasting(self, error: BaseException) -> str | None:
        group = self._settings.app_id
        match error:
            case InvalidSessionTimeoutError():
                return (
                    f"Kafka refuses PERSISTER_SESSION_TIMEOUT={self._settings.session_timeout:g}: "
                    "it must lie between the brokers' group.min.session.timeout.ms and "
                    "group.max.session.timeout.ms (by default 6 and 1800 seconds)"
                )
            case InvalidGroupIdError():
                return f"Kafka refuses PERSISTER_APP_ID={group} as the name of a consumer group"
            case GroupAuthorizationFailedError():
                return self._not_allowed()
        return None

    def _passing(self, error: BaseException) -> str:
        group = self._settings.app_id
        if self._code == INCONSISTENT:
            return (
                f"The consumer group {group} has a member of another application, and takes no "
                "worker beside it: end that one, or change PERSISTER_APP_ID"
            )
        if self._code == GROUP_FULL:
            return (
                f"The consumer group {group} is full: end a worker, or raise the brokers' "
                "group.max.size"
            )
        if isinstance(error, AssignmentError):
            return (
                f"A member that is no worker leads the consumer group {group}: what it assigns "
                f"cannot be read ({error}). End that one, or change PERSISTER_APP_ID; who may join "
                "is Kafka's matter (the right Read on the group)"
            )
        if self._code == UnknownError.errno:
            return (
                f"Kafka fails to let a worker join the consumer group {group} (it says "
                "UNKNOWN_SERVER_ERROR): see the log of the broker that coordinates the group. A "
                "client that is no worker may have joined; once it has ended, restarting that "
                "broker helps"
            )
        return f"The consumer group {group} does not take this worker ({error!r})"

    def _on_end(self, consumer: Any, task: "asyncio.Task[Any]") -> None:
        if consumer._closed or task.cancelled():  # noqa: SLF001
            return
        if (error := task.exception()) is not None:
            self._end(f"Kafka's client has failed within ({error!r}); the next start reconnects")


def completing(complete: Complete) -> Complete:
    """Wrap the coordinator's handling of an assignment to raise `AssignmentError` if it fails."""

    async def completed(generation: int, member: str, protocol: str, assignment: bytes) -> None:
        try:
            _check_unpacked_size(assignment)
            await complete(generation, member, protocol, assignment)
        except KafkaError:
            raise
        except Exception as error:
            raise AssignmentError(printable(f"{error!r}", longest=_LONGEST)) from error

    return completed


def _check_unpacked_size(assignment: bytes) -> None:
    """Raise ValueError if what Faust is about to unpack, whatever it becomes, becomes too large."""
    unpacking = zlib.decompressobj()
    unpacking.decompress(ConsumerProtocolMemberAssignment.decode(assignment).user_data, _LARGEST)
    if unpacking.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {_LARGEST} bytes")


def _codes(request: Any, response: Any) -> list[int]:
    """The error codes in the answer to a member's request; empty for other requests."""
    if isinstance(request, OF_A_MEMBER):
        return [response.error_code]
    if isinstance(request, OffsetCommitRequest):
        return [code for _, partitions in response.topics for _, code in partitions]
    if isinstance(request, OffsetFetchRequest):
        of_all = getattr(response, "error_code", 0)
        return [of_all, *(one[-1] for _, partitions in response.topics for one in partitions)]
    return []
