"""Reads Kafka's topics into the findings."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.audit.content import NOT_COMPARED, Content, content, document_content
from app.audit.expectation import (
    Expectation,
    Expected,
    Finished,
    LeftOut,
    Unusable,
    expectation,
)
from app.audit.findings import Findings, Found, Kind, Place
from app.dead_letters.activation import activation_id
from app.kafka.reader import Bounds, Reader, TopicPartition
from app.kafka.records import PlacedRecord
from app.settings import RoutingSettings
from models.dead_letter import DeadLetter
from models.roles import TopicRole

BATCH_RECORDS = 1000

MARGIN_MILLIS = 60_000
"""How long before its acknowledgement a record may have been written."""


class Watcher(Protocol):
    """Follows the progress of an audit."""

    def begin(self, step: str, total: int) -> None:
        """A step begins, with this many records or documents."""

    def forward(self, count: int) -> None:
        """This many more of them are done."""

    def say(self, text: str) -> None:
        """Show a remark to the operator."""


class Silent(Watcher):
    """Ignores all progress."""

    def begin(self, step: str, total: int) -> None:
        """Ignore it."""

    def forward(self, count: int) -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """Ignore it."""


class Extent(NamedTuple):
    """What of a partition is read."""

    log_start: int
    """The first offset that Kafka still holds."""

    start: int
    end: int


@dataclass(frozen=True)
class Scope:
    """Which records are audited: by their timestamps (epoch millis), or by where they stand.

    Args:
        since: those that came then or later.
        until: those that came before.
        marks: of these partitions, those from this offset on.
        looked_back: with marks, from when on earlier records are read to know what had arrived;
            None for all that Kafka holds.
    """

    since: int | None = None
    until: int | None = None
    marks: Mapping[TopicPartition, int] = field(default_factory=dict)
    looked_back: int | None = None

    def takes(self, tp: TopicPartition, offset: int, at: int) -> bool:
        """Tell whether a record is audited."""
        return (
            offset >= self.marks.get(tp, 0)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )

    @property
    def read_since(self) -> int | None:
        """From when on records are read."""
        return self.looked_back if self.since is None else max(0, self.since - MARGIN_MILLIS)


@dataclass(frozen=True)
class Source:
    """One of OpenWhisk's topics.

    Args:
        partitions: of the topic.
        role: in which the persister reads it.
        acknowledges: whether the persister does not read it (when logs are inside the record): its
            messages only tell that activations have ended.
    """

    topic: str
    partitions: int
    role: TopicRole
    acknowledges: bool = False

    def demands(self, value: bytes | None, rules: RoutingSettings) -> Expectation:
        """What a record of this topic demands."""
        found = expectation(self.role, value, rules)
        if self.acknowledges and isinstance(found, Expected):
            return Finished(found.activation_id)
        return found


class KafkaReader:
    """Reads whole ranges of partitions.

    Args:
        reader: connected.
        findings: where everything goes.
        watcher: is told of every record.
    """

    def __init__(self, reader: Reader, findings: Findings, watcher: Watcher) -> None:
        self._reader = reader
        self._findings = findings
        self._watcher = watcher

    async def bounds(self, sources: Iterable[Source], scope: Scope) -> dict[TopicPartition, Extent]:
        """What is to be read: from the log's start or `since` (and a little before), to its end."""
        found = {}
        for source in sources:
            whole = await self._reader.bounds(source.topic, source.partitions)
            read = whole
            if scope.read_since is not None:
                read = await self._reader.since(whole, scope.read_since)
            for tp, (start, end) in read.items():
                # Of a partition that no audit knew before, all of it.
                first = min(start, scope.marks.get(tp, 0)) if scope.marks else start
                found[tp] = Extent(whole[tp].start, max(whole[tp].start, first), end)
        return found

    async def read_messages(
        self,
        source: Source,
        tp: TopicPartition,
        bounds: Extent,
        scope: Scope,
        rules: RoutingSettings,
    ) -> int | None:
        """Read a partition of one of OpenWhisk's topics.

        Returns:
            The timestamp of its first record, or None when there is none.
        """
        first: int | None = None
        found: list[Found] = []
        async for record in self._records(tp, bounds.start, bounds.end):
            first = record.timestamp if first is None else first
            demanded = source.demands(record.value, rules)
            if not scope.takes(tp, record.offset, record.timestamp):
                arrived = _arrived(demanded)
                self._findings.add_arrived(arrived)
                self._findings.add_before(arrived)
            elif not (source.acknowledges and isinstance(demanded, Unusable)):
                found.append(_found(record, demanded))
            if len(found) == BATCH_RECORDS:
                self._findings.add_records(found)
                found = []
        self._findings.add_records(found)
        return first

    async def read_arrivals(
        self, source: Source, tp: TopicPartition, start: int, end: int, rules: RoutingSettings
    ) -> None:
        """Look only which records have arrived."""
        async for record in self._records(tp, start, end):
            self._findings.add_arrived(_arrived(source.demands(record.value, rules)))

    async def read_waiting(self, tp: TopicPartition, start: int, end: int) -> None:
        """Read documents of the internal topic that are not settled."""
        async for record in self._records(tp, start, end):
            self._findings.add_waiting(_document(record.value))
            self._findings.add_arrived([(record.key or b"").decode(errors="replace")])

    async def read_letters(
        self, tp: TopicPartition, start: int, end: int, documents_topic: str
    ) -> None:
        """Read dead letters."""
        async for record in self._records(tp, start, end):
            try:
                letter = DeadLetter.from_record(record.key, record.value, record.headers)
            except ValueError:
                continue  # what others put there
            origin = Place(letter.topic, letter.partition, letter.offset)
            is_document = letter.topic == documents_topic
            self._findings.add_letter(origin, _document(letter.value) if is_document else ())
            self._findings.add_arrived(filter(None, [activation_id(letter)]))

    async def _records(
        self, tp: TopicPartition, start: int, end: int
    ) -> AsyncIterator[PlacedRecord]:
        position = start
        async for record in self._reader.records(tp, Bounds(start, end)):
            yield record
            self._watcher.forward(record.offset + 1 - position)
            position = record.offset + 1
        self._watcher.forward(max(0, end - position))


def _arrived(demanded: Expectation) -> list[str]:
    """The activation whose record this is, if it is one."""
    if isinstance(demanded, Finished) or demanded.activation_id is None:
        return []
    return [demanded.activation_id]


def _found(record: PlacedRecord, demanded: Expectation) -> Found:
    at = record.topic, record.partition, record.offset, record.timestamp
    value = record.value or b""
    match demanded:
        case Expected(activation, document, fields):
            digests = NOT_COMPARED if fields is None else content(fields, value)
            return Found(
                *at,
                Kind.EXPECTED,
                activation,
                document,
                digests.digest,
                digests.rounded,
                len(value),
                bare=digests.bare if fields and fields.get("logs") == [] else None,
            )
        case LeftOut(activation, reason):
            return Found(*at, Kind.LEFT_OUT, activation, reason=reason.value)
        case Finished(activation):
            return Found(*at, Kind.FINISHED, activation)
        case Unusable(maybe):
            return Found(*at, Kind.UNUSABLE, maybe)


def _document(value: bytes | None) -> Iterable[tuple[str, Content]]:
    try:
        return [document_content(value or b"")]
    except ValueError:
        return []
