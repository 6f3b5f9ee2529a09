"""Kafka's view of a consumer group: members, assignments, committed and end offsets.

It has a separate client, since the worker's own consumer is what is being watched.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from app.kafka.access import why_not
from app.kafka.admin import Admin, connect_client
from app.kafka.untimed import NO_TIMESTAMP
from app.settings import KafkaSettings

ANSWER_SECONDS = 5.0
"""How long a broker may take to answer a request."""

FETCH_BYTES = 64 * 1024
"""Bytes to fetch of the first unread records; Kafka sends one batch even if it is larger."""

FETCH_MILLIS = 100
"""How long a broker may wait for records."""

LONGEST_ASSIGNMENT = 256 * 1024
"""In bytes, which is enough for sixty thousand partitions per member."""

NO_OFFSET = -1
EVERY_ISOLATION_LEVEL = 0
STABLE = "Stable"


@dataclass(frozen=True, slots=True)
class Member:
    """A consumer in the group.

    Args:
        host: where it connects from.
        partitions: its assignment; empty while the group rebalances.
    """

    host: str
    partitions: frozenset[TP]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the group is in a partition; a field is None if Kafka does not say.

    Args:
        start: the first offset that the log still has; not looked up if nothing is unread.
        end: the offset that the next record will get.
        committed: the next offset that the group reads; None before its first commit.
    """

    start: int | None
    end: int | None
    committed: int | None

    @property
    def lag(self) -> int | None:
        """The number of records from the committed offset to the end, without deleted ones."""
        if (self.committed or 0) == self.end:
            return 0
        if self.start is None or self.end is None:
            return None
        return max(0, self.end - max(self.start, self.committed or 0))


@dataclass(frozen=True, slots=True)
class GroupView:
    """A consumer group and the topics that it should read, as Kafka sees them.

    Args:
        state: the group's state as Kafka names it, such as `Stable`, `Empty` or
        `PreparingRebalance`.
        members: the group's members by member id.
        topics: the names of all topics that the client may see.
        partitions: the partitions of the topics that were asked about.
    """

    state: str
    members: Mapping[str, Member]
    topics: frozenset[str]
    partitions: Mapping[TP, Reach] = field(default_factory=dict)

    @property
    def stable(self) -> bool:
        """Whether the members' partitions are settled."""
        return self.state == STABLE

    def holders(self) -> dict[TP, str]:
        """The id of the member that each partition is assigned to."""
        return {tp: name for name, member in self.members.items() for tp in member.partitions}


class Observer:
    """A client that watches a group without joining it.

    Every method raises aiokafka's `KafkaError` or `OSError` if Kafka does not answer. The client is
    useless after that, because it never goes back to the bootstrap addresses.
    """

    def __init__(self, client: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
        self._client = client
        self._admin = Admin(client)
        self._settings = settings
        self._leaders: dict[TP, int] = {}
        self._coordinator: int | None = None

    @classmethod
    async def connect(cls, settings: KafkaSettings) -> Self:
        """Connect a client; the caller closes it."""
        millis = int(ANSWER_SECONDS * 1000)
        try:
            client = await connect_client(settings, request_timeout_ms=millis)
        except KafkaConnectionError as error:
            # aiokafka reports only that no broker could be reached.
            raise await why_not(settings) or error from None
        return cls(client, settings)

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    async def topics(self) -> dict[str, int]:
        """The visible topics with their numbers of partitions; remembers their leaders, too."""
        # Asks for all topics, because asking for a missing one by name may create it.
        described = await self._client.describe_topics()
        self._leaders = {
            TP(topic["topic"], partition["partition"]): partition["leader"]
            for topic in described
            for partition in topic["partitions"]
        }
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def look(self, topics: Mapping[str, int], wanted: Iterable[str]) -> GroupView:
        """The state of the group, and how far it is in the wanted topics."""
        partitions = [
            TP(name, number) for name in sorted(wanted) for number in range(topics.get(name, 0))
        ]
        known, self._coordinator = self._coordinator, None
        if known is not None:
            with suppress(KafkaError, OSError):  # another broker may be the coordinator by now
                return await self._look(partitions, frozenset(topics), known)
        coordinator = await self._admin.coordinator(self._settings.app_id)
        return await self._look(partitions, frozenset(topics), coordinator)

    async def _look(
        self, partitions: Sequence[TP], topics: frozenset[str], coordinator: int
    ) -> GroupView:
        (state, members), committed, ends = await asyncio.gather(
            self._group(coordinator),
            self._admin.committed(self._settings.app_id, coordinator),
            self._offsets(partitions, OffsetResetStrategy.LATEST),
        )
        reached: Mapping[Any, int] = committed
        unread = [tp for tp in partitions if reached.get(tp, 0) != ends.get(tp)]
        starts = await self._offsets(unread, OffsetResetStrategy.EARLIEST)
        self._coordinator = coordinator
        return GroupView(
            state,
            members,
            topics,
            {tp: Reach(starts.get(tp), ends.get(tp), reached.get(tp)) for tp in partitions},
        )

    async def oldest(self, tp: TP, offset: int) -> int | None:
        """The timestamp of the first record at or after an offset, in epoch millis.

        `NO_TIMESTAMP` if the record has none. None if there is no such record (only transaction
        markers, or remains of a compacted transaction), and also if the partition may not be read
        or its leader has just moved: Kafka has answered, so the rest of the view is still of use.
        """
        code, data = await self._fetch(tp, offset)
        return _first_timestamp(data, offset) if for_code(code) is NoError else None

    async def may_read(self, tp: TP) -> bool:
        """Whether a visible partition may also be read; call `topics` first."""
        code, _ = await self._fetch(tp, 0, millis=0)
        return for_code(code) is not TopicAuthorizationFailedError

    async def _fetch(self, tp: TP, offset: int, *, millis: int = FETCH_MILLIS) -> tuple[int, bytes]:
        """The error code of the answer, and the bytes from an offset on."""
        leader = self._leaders.get(tp, NO_OFFSET)
        request = FetchRequest(
            millis,
            1,
            FETCH_BYTES,
            EVERY_ISOLATION_LEVEL,
            [(tp.topic, [(tp.partition, offset, FETCH_BYTES)])],
        )
        answer = await self._client._send_request(request, leader)  # noqa: SLF001 - has no public one
        for _, partitions in answer.topics:
            for _, code, *_, data in partitions:
                return code, data
        return 0, b""

    async def _group(self, coordinator: int) -> tuple[str, dict[str, Member]]:
        (answer,) = await self._client.describe_consumer_groups(
            [self._settings.app_id], group_coordinator_id=coordinator
        )
        code, _, state, _, _, members, *_ = answer.groups[0]
        _raise(code, f"cannot describe the consumer group {self._settings.app_id}")
        return state, {
            name: Member(host.lstrip("/"), _assigned(assignment))
            for name, _, host, _, assignment in members
        }

    async def _offsets(self, partitions: Iterable[TP], which: int) -> dict[TP, int]:
        """The first or last offset of each partition, as far as the leaders answer."""
        by_leader: defaultdict[int, defaultdict[str, list[tuple[int, int]]]]
        by_leader = defaultdict(lambda: defaultdict(list))
        for tp in partitions:
            leader = self._leaders.get(tp, NO_OFFSET)
            if leader != NO_OFFSET:
                by_leader[leader][tp.topic].append((tp.partition, which))
        answers = await asyncio.gather(
            *(
                self._client._send_request(  # noqa: SLF001 - has no public one
                    OffsetRequest(-1, EVERY_ISOLATION_LEVEL, list(topics.items())), leader
                )
                for leader, topics in by_leader.items()
            )
        )
        return {
            TP(topic, number): offset
            for answer in answers
            for topic, found in answer.topics
            for number, code, _, offset, *_ in found
            if for_code(code) is NoError
        }


def _assigned(assignment: bytes) -> frozenset[TP]:
    """The partitions in a member's assignment; empty if it is not a consumer's.

    Any member may write any bytes there, and other kinds of applications do.
    """
    if not 0 < len(assignment) <= LONGEST_ASSIGNMENT:
        return frozenset()
    try:
        decoded = ConsumerProtocolMemberAssignment.decode(assignment)
        return frozenset(TP(*tp) for tp in decoded.partitions())
    except (ValueError, TypeError):  # aiokafka's, for any other bytes
        return frozenset()


def _first_timestamp(data: bytes, offset: int) -> int | None:
    records = MemoryRecords(data)
    while (batch := records.next_batch()) is not None:
        if batch.next_offset > offset and not getattr(batch, "is_control_batch", False):
            # Kafka sends one batch that is larger than what was asked for.
            found = _timestamp(batch, offset, large=len(data) > FETCH_BYTES)
            if found is not None:
                return found
    return None


def _timestamp(batch: Any, offset: int, *, large: bool) -> int | None:
    """The timestamp of the first record in a batch at or after an offset, or None without one."""
    if getattr(batch, "compression_type", 0) or (large and hasattr(batch, "first_timestamp")):
        # Not unpacked: a compressed one may take gigabytes, and one of very many headers eighty
        # times its size. Its records have about the same time anyway.
        return _of_all(batch)
    try:
        return next((_time(one) for one in batch if one.offset >= offset), None)
    except Exception:  # noqa: BLE001 - whatever the bytes make aiokafka raise
        return _of_all(batch)


def _time(record: Any) -> int:
    return NO_TIMESTAMP if record.timestamp is None else int(record.timestamp)


def _of_all(batch: Any) -> int:
    name = "max_timestamp" if getattr(batch, "timestamp_type", 0) else "first_timestamp"
    return int(getattr(batch, name, NO_TIMESTAMP))  # older formats have it per record only


def _raise(code: int, what: str) -> None:
    error = for_code(code)
    if error is not NoError:
        raise error(f"{what}: {error.description or error.__name__}")
