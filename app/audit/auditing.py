"""The steps of an audit.

Their order keeps the result consistent although the worker keeps running:

1. Read OpenWhisk's topics, up to their present end.
2. Read how far the worker has committed them: everything before that is in the internal topic by
   now.
3. Read how far it has committed the internal topic, and what is there after that: everything before
   is settled by now.
4. Read the dead letters, then the database.

So a record is called missing only when it was settled before the database was asked.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from app.audit.committed import committed_offsets
from app.audit.errors import AuditError
from app.audit.findings import Findings
from app.audit.reading import MARGIN_MILLIS, Extent, KafkaReader, Scope, Source, Watcher
from app.audit.stored import read_stored
from app.couchdb import Database, connected
from app.couchdb.first_answer import Say, first_answer
from app.kafka.admin import Admin, open_admin
from app.kafka.reader import Reader, TopicPartition, open_reader
from app.kafka.topics import TopicNames
from app.settings import LogMode, Settings, StoreLevel
from models.roles import TopicRole

LATE_SECONDS = 5.0
"""How long after its acknowledgement a record may arrive (an invoker collects logs meanwhile)."""


@dataclass(frozen=True)
class Lost:
    """Records that Kafka's retention deleted before the worker read them."""

    topic: str
    partition: int
    count: int


@dataclass
class Audited:
    """What was audited, beside the findings."""

    topics: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    not_judged: int = 0
    """Acknowledgements whose records may or may not be due: nobody can say."""

    extents: dict[TopicPartition, Extent] = field(default_factory=dict)
    """What Kafka held of each partition."""

    never_committed: bool = False
    """The worker's consumer group has not committed anything of these topics."""


@asynccontextmanager
async def open_database(settings: Settings, say: Say) -> AsyncIterator[Database]:
    """Connect, and see whether the database is there; raises `DatabaseError`."""
    await first_answer(settings.database, say)
    async with connected(settings.database) as database:
        yield database


class Auditor:
    """Fills the findings.

    Args:
        settings: the worker's.
        findings: empty.
        watcher: is told how it goes on.
    """

    def __init__(self, settings: Settings, findings: Findings, watcher: Watcher) -> None:
        self._settings = settings
        self._names = TopicNames(settings.kafka.topic_prefix)
        self._findings = findings
        self._watcher = watcher
        self._result = Audited()

    async def run(self, scope: Scope, topics: frozenset[str] = frozenset()) -> Audited:
        """Audit these topics, or all that OpenWhisk has.

        Raises:
            AuditError: there is no such topic, or it is not known how far the worker has come.
            KafkaError: Kafka is not reachable, or does not allow it.
            DatabaseError: the same of the database.
            ReadError: Kafka stops sending.
        """
        async with (
            open_database(self._settings, self._watcher.say) as database,
            open_admin(self._settings.kafka) as admin,
            open_reader(self._settings.kafka) as kafka,
        ):
            partitions = await admin.partition_counts()
            sources = self._sources(partitions, topics)
            self._result.topics = [source.topic for source in sources]
            reader = KafkaReader(kafka, self._findings, self._watcher)
            if scope.marks:
                read = {tp for tp in scope.marks if tp.partition < partitions.get(tp.topic, 0)}
                marks = _still_there(scope.marks, await kafka.ends(read))
                scope = replace(scope, marks=marks)
            bounds = self._result.extents = await reader.bounds(sources, scope)
            reach = await self._read_messages(reader, sources, bounds, scope)
            await self._read_progress(reader, kafka, admin, partitions, bounds)
            await self._read_letters(reader, kafka, partitions)
            self._watcher.begin(database.name, self._findings.count_documents())
            await read_stored(database, self._findings, self._watcher)
            self._findings.judge()
            if not topics:
                self._note_horizons(reach)
                await self._await_late(reader, kafka, sources, bounds)
            self._result.not_judged = self._findings.judge_arrivals()
        return self._result

    def _sources(self, partitions: dict[str, int], topics: frozenset[str]) -> list[Source]:
        log_mode = self._settings.routing.log_mode
        sources = [
            Source(topic, partitions[topic], role)
            for role, names in self._names.by_role(partitions, log_mode).items()
            for topic in names
        ]
        if log_mode is LogMode.IN_RECORD:
            # Nobody else tells which activations have ended.
            acknowledging = self._names.by_role(partitions, LogMode.SEPARATE)[TopicRole.COMPLETED]
            sources += [
                Source(topic, partitions[topic], TopicRole.COMPLETED, acknowledges=True)
                for topic in acknowledging
            ]
        if unknown := topics - {source.topic for source in sources}:
            raise AuditError(
                f"{', '.join(sorted(unknown))}: not a topic that the persister reads, by "
                "PERSISTER_TOPIC_PREFIX and PERSISTER_LOG_MODE, or it does not exist"
            )
        if not sources:
            raise AuditError(
                "nothing to audit: Kafka has no topic that the persister reads, by "
                f"PERSISTER_TOPIC_PREFIX ({self._names.prefix!r}) and PERSISTER_LOG_MODE "
                f"({log_mode}); of its own it has {_listed(self._names, partitions)}"
            )
        return [source for source in sources if not topics or source.topic in topics]

    async def _read_messages(
        self,
        reader: KafkaReader,
        sources: Iterable[Source],
        bounds: dict[TopicPartition, Extent],
        scope: Scope,
    ) -> dict[str, int | None]:
        """Read them; returns since when (epoch millis) all that came to each is still there."""
        rules = self._settings.routing
        reach: dict[str, int | None] = {}
        for source in sources:
            reach[source.topic] = 0
            self._watcher.begin(
                source.topic, sum(one.end - one.start for one in _of(bounds, source.topic).values())
            )
            for tp, bound in _of(bounds, source.topic).items():
                first = await reader.read_messages(source, tp, bound, scope, rules)
                if 0 < bound.log_start == bound.start:
                    # What was deleted may be the record of an acknowledgement soon after.
                    since = None if first is None else first + MARGIN_MILLIS
                    reach[source.topic] = _later(reach[source.topic], since)
        return reach

    def _note_horizons(self, reach: dict[str, int | None]) -> None:
        """Say from when on the record of an acknowledgement must be on some topic that was read.

        It is either on the acknowledgement's own topic or on that of the activation store. Where a
        store level or an excluded namespace leaves records out, their acknowledgements look alike.

        Args:
            reach: by topic, since when all that came to it is still there (epoch millis; 0: since
                ever; None: nothing is).
        """
        routing = self._settings.routing
        always = StoreLevel.STORE_ALWAYS
        levels = (routing.blocking_store_level, routing.non_blocking_store_level)
        if routing.excluded_namespaces or any(level is not always for level in levels):
            return
        stored: int | None = 0
        for topic in self._names.stored(routing.log_mode):
            stored = _later(stored, reach.get(topic, 0))
        for topic, own in reach.items():
            since = _later(own, stored)
            if since is not None:
                self._findings.add_horizon(topic, since)

    async def _read_progress(
        self,
        reader: KafkaReader,
        kafka: Reader,
        admin: Admin,
        partitions: dict[str, int],
        bounds: dict[TopicPartition, Extent],
    ) -> None:
        group = self._settings.kafka.app_id
        committed = await committed_offsets(admin, group)
        ends = await kafka.ends(list(bounds))
        for tp, bound in bounds.items():
            # Beyond the end: the topic was deleted and re-created, and nothing of it is committed.
            if committed.get(tp, ends[tp] + 1) <= ends[tp]:
                self._findings.add_committed(tp.topic, tp.partition, committed[tp])
                self._note_loss(tp, committed[tp], bound.log_start)
        self._result.never_committed = not any(tp in committed for tp in bounds)
        documents = self._names.documents
        internal = await kafka.bounds(documents, partitions.get(documents, 0))
        # Again: what was committed above is in the internal topic before its end now.
        committed = await committed_offsets(admin, group)
        starts = {
            tp: max(committed.get(tp, log_start), log_start)
            for tp, (log_start, _) in internal.items()
        }
        for tp, (log_start, _) in internal.items():
            self._note_loss(tp, committed.get(tp, log_start), log_start)
        total = sum(max(0, end - starts[tp]) for tp, (_, end) in internal.items())
        self._watcher.begin(documents, total)
        for tp, (_, end) in internal.items():
            await reader.read_waiting(tp, starts[tp], end)

    async def _read_letters(
        self, reader: KafkaReader, kafka: Reader, partitions: dict[str, int]
    ) -> None:
        topic = self._names.dead_letters
        bounds = await kafka.bounds(topic, partitions.get(topic, 0))
        self._watcher.begin(topic, sum(end - start for start, end in bounds.values()))
        for tp, (start, end) in bounds.items():
            await reader.read_letters(tp, start, end, self._names.documents)

    async def _await_late(
        self,
        reader: KafkaReader,
        kafka: Reader,
        sources: Iterable[Source],
        bounds: dict[TopicPartition, Extent],
    ) -> None:
        """Look again for records whose acknowledgements have come a moment before."""
        latest = self._findings.latest_unarrived()
        if latest is None:
            return
        await asyncio.sleep(min(LATE_SECONDS, max(0.0, latest / 1000 + LATE_SECONDS - time.time())))
        for source in sources:
            tps = _of(bounds, source.topic)
            ends = await kafka.ends(list(tps))
            self._watcher.begin(
                f"{source.topic}, late", sum(ends[tp] - bound.end for tp, bound in tps.items())
            )
            for tp, bound in tps.items():
                await reader.read_arrivals(source, tp, bound.end, ends[tp], self._settings.routing)

    def _note_loss(self, tp: TopicPartition, committed: int, log_start: int) -> None:
        if committed < log_start:
            self._result.lost.append(Lost(tp.topic, tp.partition, log_start - committed))


def _still_there(
    marks: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Without the marks of topics that have been deleted, or deleted and made again, since."""
    return {tp: mark for tp, mark in marks.items() if mark <= ends.get(tp, -1)}


def _listed(names: TopicNames, existing: Collection[str]) -> str:
    """The persister's own topics that exist, to help find the right prefix."""
    own = sorted({names.documents, names.dead_letters} & set(existing))
    return ", ".join(own) or "none either"


def _of(bounds: dict[TopicPartition, Extent], topic: str) -> dict[TopicPartition, Extent]:
    return {tp: bound for tp, bound in bounds.items() if tp.topic == topic}


def _later(one: int | None, other: int | None) -> int | None:
    """The later of two moments; None, never, is the latest."""
    return None if one is None or other is None else max(one, other)
