"""Faust's thread around aiokafka's consumer; `tests/contract` proves it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.types import TP

from app.kafka.delivery.notes import Note


class FakeConsumerThread:
    """What the consumer uses of its thread, with a Kafka behind it.

    Attributes:
        assigned: the partitions of this member.
        committed: what the group has committed; 0 where nothing stands.
        never_committed: where it never has.
        earliest: where each log begins.
        ends: where each log ends.
        cut: where logs were cut before what is committed, and written on.
        lost: where logs were cut before what was read while they were assigned.
        went_back: where partitions were read on from, and whether in another log, in order.
        ids: the ids of topics, where they are not their names.
        tells_ids: whether brokers know ids.
        noted: the ids with which offsets were committed, where those are not the topics' names.
        epochs: those up to which partitions are read.
        noted_epochs: those with which offsets were committed.
        noted_topics: those that the last `seek_to_committed` has found.
        fetched: what the next fetches bring.
        pending: what they bring as soon as it is there, instead.
        looked_again: what was added to fetches that wait.
        asked: for which partitions each fetch asked.
        seeks: every seek, in order.
        commits: every commit.
        refused: the partitions whose commits are refused, and why.
        rejoins: how often the group was asked to rebalance.
        ahead: where aiokafka stands past the ledger.
        on_seek: called at every seek.
        revocations: how often partitions have been revoked, as the consumer counts it.
        answering: set while brokers say where logs begin and end.
        leaderless: the partitions of which none does.
        began_in: what that was when the last fetch began.
    """

    def __init__(self, assigned: Iterable[TP], end: int = 100) -> None:
        self.assigned = set(assigned)
        self.committed: dict[TP, int] = {}
        self.never_committed: set[TP] = set()
        self.earliest: defaultdict[TP, int] = defaultdict(int)
        self.ends: defaultdict[TP, int] = defaultdict(lambda: end)
        self.cut: dict[TP, int] = {}
        self.lost: dict[TP, int] = {}
        self.went_back: list[tuple[TP, int, bool]] = []
        self.ids: dict[str, bytes] = {}
        self.tells_ids = True
        self.noted: dict[TP, bytes | None] = {}
        self.noted_topics: dict[TP, bytes] = {}
        self.epochs: dict[TP, int] = {}
        self.noted_epochs: dict[TP, int | None] = {}
        self.fetched: list[dict[TP, list[Any]]] = []
        self.asked: list[set[TP]] = []
        self.pending: Awaitable[dict[TP, list[Any]]] | None = None
        self.looked_again: list[set[TP]] = []
        self.seeks: list[dict[TP, int]] = []
        self.commits: list[dict[TP, int]] = []
        self.gone: set[TP] = set()
        self.refused: dict[TP, type[BaseException]] = {}
        self.rejoins = 0
        self.ahead: set[TP] = set()
        self.on_seek: Callable[[], None] = lambda: None
        self.revocations: Callable[[], int] = lambda: 0
        self.began_in = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.leaderless: set[TP] = set()

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    async def getmany(self, active: set[TP], _timeout: float) -> dict[TP, list[Any]]:
        self.asked.append(set(active))
        self.began_in = self.revocations()
        if self.pending is not None:
            return await self.pending
        return self.fetched.pop(0) if self.fetched else {}

    def sent_back(self) -> frozenset[TP]:
        found, self.ahead = self.ahead, set()
        return frozenset(found)

    def look_again(self, added: set[TP]) -> None:
        self.looked_again.append(added)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        if not partitions.keys() <= self.assigned:
            raise IllegalStateError
        self.seeks.append(dict(partitions))
        self.on_seek()

    async def seek_to_committed(self) -> dict[TP, int | None]:
        noted = {tp: self.noted.get(tp, _id(tp.topic)) for tp in self.assigned}
        self.noted_topics = {
            tp: topic for tp, topic in noted.items() if topic and tp not in self.never_committed
        }
        return {
            tp: None if tp in self.never_committed else self.committed.get(tp, 0)
            for tp in self.assigned
        }

    async def without_commit(self, partitions: Iterable[TP]) -> set[TP]:
        return set(partitions) & self.never_committed

    async def overwritten(self, partitions: Iterable[TP]) -> dict[TP, int]:
        return {tp: self.cut[tp] for tp in partitions if tp in self.cut}

    async def lost_from(self, tp: TP) -> int | None:
        return self.lost.get(tp)

    def goes_back(self, tp: TP, offset: int, *, recreated: bool) -> None:
        self.went_back.append((tp, offset, recreated))

    async def topic_ids(
        self,
        partitions: Iterable[TP],
        known: Mapping[TP, bytes],  # noqa: ARG002 - all brokers of this Kafka agree
    ) -> dict[TP, bytes]:
        return {
            tp: self.ids.get(tp.topic, _id(tp.topic))
            for tp in partitions
            if tp in self.assigned - self.gone and self.tells_ids
        }

    async def rejoin(self) -> None:
        self.rejoins += 1

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.earliest[tp] for tp in partitions if tp not in self.gone}

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.ends[tp] for tp in partitions if tp not in self.gone}

    async def extents(self, partitions: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        await self.answering.wait()
        return {
            tp: (self.earliest[tp], self.ends[tp])
            for tp in partitions
            if tp not in self.gone | self.leaderless
        }

    def known_partitions(self, topics: Iterable[str]) -> dict[str, int]:
        there = self.assigned - self.gone
        return {
            topic: max((tp.partition + 1 for tp in there if tp.topic == topic), default=0)
            for topic in topics
        }

    def epoch_before(self, tp: TP, _offset: int) -> int | None:
        return self.epochs.get(tp)

    async def commit_what_can(
        self, offsets: dict[TP, int], notes: Mapping[TP, Note]
    ) -> dict[TP, type[BaseException]]:
        mine = {tp: offset for tp, offset in offsets.items() if tp in self.assigned}
        taken = {tp: offset for tp, offset in mine.items() if tp not in self.refused}
        self.commits.append(taken)
        self.committed |= taken
        self.never_committed -= taken.keys()
        for tp in taken:
            self.noted[tp] = notes.get(tp, Note()).topic
            self.noted_epochs[tp] = notes.get(tp, Note()).epoch
        return dict(self.refused)


def _id(topic: str) -> bytes:
    return topic.encode().ljust(16)
