"""A stage: its own topics and database, workers, traffic and a watcher."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from app.kafka.topics import TopicNames
from app.settings import KafkaSettings
from dev.chaos.clock import Clock
from dev.chaos.crew import Crew, status
from dev.chaos.faulty import FaultyDatabase
from dev.chaos.flow import Books, Flow
from dev.chaos.honesty import BOUND, Watching
from dev.chaos.movement import PATIENCE, Position
from dev.chaos.offsets import Offsets
from dev.chaos.verdict import (
    dead_letters,
    doubled,
    judge_documents,
    judge_letters,
    judge_outcomes,
    lost,
    stored,
)
from dev.chaos.watch import Watch
from dev.couchdb import CouchDB
from dev.kafka.cluster import Cluster
from dev.process import HOST
from dev.services import Services

if TYPE_CHECKING:
    from models.dead_letter import DeadLetter

PARTITIONS = 4
WORKERS = 3
REQUEST_TIMEOUT = 40
"""Seconds that a worker's clients wait for an answer of the broker."""

START_SECONDS = 60.0
DRAIN_SECONDS = 120.0

GIVE_UP = 90.0
"""Seconds after which what does not go on is said to stand still."""

QUIET_SECONDS = 90.0
"""Within which everything must be stored while nothing more comes: rather long, since what is to be
found lasts for ever."""

DROPPED = "dropped records of"
"""What a worker logs when a chunk never reached its agent. It reads it again; but why?"""

SETTINGS = {
    "partitions": PARTITIONS,
    "request_timeout": 4,
    "shutdown_deadline": 6,
    "guard_records": 5000,
}
"""Of every worker: deadlines short enough to wait for, a guard that forgets within a stage."""


@dataclass(frozen=True)
class Surroundings:
    """What all stages share.

    Attributes:
        kafka: the cluster.
        couchdb: the database.
        proxy: in front of it, for the workers.
        folder: for logs and data.
    """

    kafka: Cluster
    couchdb: CouchDB
    proxy: FaultyDatabase
    folder: Path


@dataclass(frozen=True)
class Surrounding:
    """What differs between stages.

    Attributes:
        broker: its settings, in place of those that tests usually have.
        session: of the workers, in seconds.
        patience: seconds that a partition with something unread may stand still, when nothing
            excuses it.
    """

    broker: Mapping[str, str]
    session: float
    patience: float = PATIENCE


USUAL = Surrounding({}, 4.0)
"""Sessions are short, so that dead members are noticed soon."""

DEFAULTS = Surrounding(
    {
        "auto.create.topics.enable": "true",
        "broker.session.timeout.ms": "9000",
        "broker.heartbeat.interval.ms": "2000",
        "group.initial.rebalance.delay.ms": "3000",
        "group.min.session.timeout.ms": "6000",
        "log.initial.task.delay.ms": "30000",
        "log.cleaner.backoff.ms": "15000",
        "num.network.threads": "3",
        "num.io.threads": "8",
        "background.threads": "10",
        "offsets.topic.num.partitions": "50",
    },
    10.0,
)
"""As Kafka and the persister come."""


class Stage:
    """An isolated deployment in which faults are injected.

    Args:
        around: what is shared with other stages.
        name: of this one, in topics and database.
        seed: of everything random.
        rate: events per second.
        say: tells a person.
        clock: of the workers; None: the machine's.
        surrounding: what differs between stages.

    Attributes:
        session: after how many seconds a silent worker is given up.
        topics: those of OpenWhisk; the faults may add some.
        during: what is going on, for people.
        lost: documents that were not there at the end.
        doubled: documents that were written more than once.
        findings: what did not hold, as sentences; the faults add theirs.
        alone: whether one fault is inflicted at a time, so that it can say what must go on.
    """

    def __init__(
        self,
        around: Surroundings,
        name: str,
        *,
        seed: int,
        rate: float,
        say: Callable[[str], None],
        clock: Clock | None = None,
        surrounding: Surrounding = USUAL,
    ) -> None:
        prefix = f"{name}-"
        self.surrounding = surrounding
        self.session = surrounding.session
        self.kafka = around.kafka
        self.database = around.proxy
        self.random = Random(seed)  # noqa: S311 - not a secret
        self.say = say
        self.findings: list[str] = []
        self.alone = True
        self.clock = clock
        self.names = TopicNames(prefix)
        self.group = f"{prefix}persister"
        self.database_name = f"{prefix}activations"
        self._couchdb_url = around.couchdb.url
        self.flow = Flow(around.kafka.url, prefix, seed=seed, rate=rate)
        self.topics = list(self.flow.setup.read_topics)
        self.during = "the start"
        self.lost = self.doubled = 0
        self._letters: list[DeadLetter] = []
        credentials = around.couchdb.url.rpartition("@")[0]
        self.crew = Crew(
            around.folder / name,
            Services(around.kafka.url, f"{credentials}@{HOST}:{around.proxy.port}"),
            {
                **SETTINGS,
                **around.kafka.worker_settings,
                "session_timeout": self.session,
                "topic_prefix": prefix,
                "app_id": self.group,
                "database": self.database_name,
            },
            self.random,
            clock.environment() if clock else {},
        )
        self.watch = Watch(
            Offsets(around.kafka.url, self.group, lambda: [*self.topics, self.names.documents]),
            self.findings,
            lambda: [
                around.kafka.broker,
                around.couchdb,
                *(member.worker for member in self.crew.wanted),
            ],
            patience=surrounding.patience,
        )
        self.watching = Watching(self.crew, self.watch.movement, lambda: self.during)

    @property
    def changelog(self) -> str:
        """The name of the guard's changelog topic."""
        return f"{self.group}-guard-changelog"

    @property
    def kafka_settings(self) -> KafkaSettings:
        """Kafka settings for clients that the faults open."""
        return KafkaSettings(url=self.kafka.url, app_id=self.group)

    async def open(self) -> None:
        """Start everything; returns when records are being stored."""
        await self.flow.prepare()
        for _ in range(WORKERS):
            await self.crew.hire()
        self.crew.start()
        late = await self.crew.ready(START_SECONDS)
        if late:
            self.findings.append(f"{len(late)} of {WORKERS} workers were not ready at the start")
        self.flow.start()
        self.watch.start()
        self.watching.start()
        await self.steady()

    async def steady(self) -> None:
        """Wait until all workers are ready and every partition makes progress."""
        late = await self.crew.ready(START_SECONDS)
        self.findings += [f"worker {member.number} does not become ready" for member in late]
        await self.goes_on(START_SECONDS, "everything")

    async def goes_on(self, within: float, what: str, topics: Iterable[str] = ()) -> float | None:
        """Wait until the partitions of these topics (default: all) have made progress from now.

        Never is a finding; longer than usual is only reported.

        Args:
            within: seconds that it usually takes at most.
            what: must go on, for people.
            topics: to look at.

        Returns:
            Seconds, or None when it was given up.
        """
        patience = max(within, GIVE_UP)
        mark = await self.watch.mark()
        took = await self.watch.moved_on(mark, patience, topics)
        if took is None:
            standing = ", ".join(f"{t}/{n}" for t, n in self.watch.movement.standing(mark, topics))
            self.findings.append(f"{what}: not within {patience:g} s; standing still: {standing}")
        elif took > within:
            self.say(f"    slow: {what} after {took:.1f} s, usually within {within:g} s")
        return took

    async def all_is_stored(self) -> None:
        """Have no further record come until everything is stored; never is a finding."""
        with self.flow.paused():
            if not await self.watch.drained(QUIET_SECONDS):
                lag = self.watch.movement.lag
                self.findings.append(f"{lag} records are not finished while nothing more comes")

    async def keep_letters(self) -> None:
        """Read the dead letters, before Kafka loses them."""
        self._letters += await dead_letters(self.kafka_settings, self.names.dead_letters)

    async def mark(self) -> dict[Position, int]:
        """The group's committed offsets now."""
        return await self.watch.mark()

    async def close(self) -> Books:
        """Stop the traffic, let the workers finish, check everything, stop the workers."""
        books = await self.flow.stop()
        if books.doubtful:
            self.findings.append(f"{len(books.doubtful)} messages may or may not be on Kafka")
        if not await self.watch.drained(DRAIN_SECONDS):
            self.findings.append(f"{self.watch.movement.lag} records were never committed")
        longest = self.watching.honesty.longest
        if longest.seconds > BOUND:
            self.findings.append(
                f"ready for {longest.seconds:.0f} s while its work stood still: {longest.where}"
            )
        for member in self.crew.wanted:
            reported = (await status(member.worker)).get("outcomes")
            self.findings += judge_outcomes(reported) if reported else ["a worker says nothing"]
        self.findings += await self.crew.stop()
        dropped = [m.number for m in self.crew.members if DROPPED in m.worker.log()]
        self.findings += [f"worker {n}: {DROPPED}, which has no known cause" for n in dropped]
        documents = await stored(self._couchdb_url, self.database_name)
        self.findings += judge_documents(books, documents)
        self.lost, self.doubled = lost(books, documents), doubled(documents)
        await self.keep_letters()
        self.findings += judge_letters(books, self._letters, self.names.documents)
        return books

    async def clear(self) -> None:
        """Stop whatever is still running."""
        await self.crew.abandon()
        await asyncio.to_thread(self.crew.destroy)
        await self.watching.stop()
        await self.watch.stop()
        await self.flow.close()
