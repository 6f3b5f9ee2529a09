"""Stores records on Kafka or in CouchDB, trying for as long as their client waits.

Kafka first. What it has not acknowledged within a few seconds goes to CouchDB itself, unless the
operator wants that spared. A record whose publishing was given up may still reach Kafka later: the
persister then meets a document that is there already, equal to the byte, and counts a duplicate.
Until then the gateway holds changes of the document that pass through it (`OnTheWire`).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from app.process.printable import shown
from app.process.turn import Turn, in_turns
from openwhisk.gateway import answers
from openwhisk.gateway.credentials import is_lockout
from openwhisk.gateway.fallback import Fallback, Switch
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.records import Record
from openwhisk.gateway.upstream import (
    BulkAnswer,
    RefusedError,
    TooLongError,
    Upstream,
    UpstreamError,
)
from openwhisk.publisher import Outcomes, PublishError, TooLarge

logger = logging.getLogger(__name__)

_COMPARED = 128 * 1024
"""Bytes of records to compare with stored documents at a time, or a single larger record."""

_PAUSE = 0.5
"""Seconds between two attempts while neither of the two takes records."""

_LONGEST_PROBLEM = 200

_LOCKED_OUT = "the user is temporarily locked out"
"""For wrong passwords from this address, not for these credentials, which were right."""

_MAY_PASS = (408, 429)
_FINAL = frozenset({"conflict", "forbidden", "unauthorized"})
"""Final errors about a document; any other error is about CouchDB's own state."""


class NotStored(Exception):  # noqa: N818 - what is the case
    """Neither Kafka nor CouchDB has taken all records in time."""


class Refused(Exception):  # noqa: N818
    """CouchDB refused a request, and its answer is passed on."""

    def __init__(self, answer: BulkAnswer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class Publishes(Protocol):
    """The part of `Publisher` that is used here."""

    async def publish_all(
        self,
        topic: str,
        values: Sequence[bytes],
        timestamps: Sequence[int],
        keys: Sequence[bytes],
        outcomes: Outcomes,
    ) -> list[PublishError | None]:
        """Publish many records; returns the error of each, or None."""


_decode = msgspec.json.Decoder(dict[str, Any]).decode

_UNREADABLE = (ValueError, RecursionError)
"""Errors from reading a document; msgspec's and Unicode's errors are `ValueError`s."""


class Storing:
    """Stores records on Kafka, or in CouchDB while Kafka is away.

    Args:
        publisher: publishes to Kafka.
        topic: the topic of the records.
        upstream: CouchDB.
        switch: decides between the two, and is told what happens.
        patience: seconds for Kafka to acknowledge, before records go to CouchDB.
        deadline: seconds for all attempts together.
        recent: remembers what Kafka has acknowledged.
        on_the_wire: remembers what may still reach it although it was given up, or has reached it
            although CouchDB was written to.
        metrics: counts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        publisher: Publishes,
        topic: str,
        *,
        upstream: Upstream,
        switch: Switch,
        patience: float,
        deadline: float,
        recent: Recent,
        on_the_wire: OnTheWire,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._upstream = upstream
        self._switch = switch
        self._patience = patience
        self._deadline = deadline
        self._recent = recent
        self._on_the_wire = on_the_wire
        self._metrics = metrics
        self._clock = clock

    async def store(
        self, records: Sequence[Record], headers: Mapping[str, str]
    ) -> list[bytes | None]:
        """Store records; returns CouchDB's entry for each, None for one too large for Kafka.

        Args:
            records: records with different ids.
            headers: the client's headers, whose credentials are used to write to CouchDB.

        Raises:
            NotStored: not all of them are known to be safe.
            Refused: CouchDB refused to be written to.
            RefusedError: it refused to be read.
        """
        until = self._clock() + self._deadline
        direct = _Direct(records)
        publishing: asyncio.Task[list[PublishError | None]] | None = None
        try:
            while True:
                if publishing is None and self._switch.tries_kafka():
                    publishing = asyncio.create_task(self._publish(records))
                if publishing is not None:
                    await asyncio.wait([publishing], timeout=self._wait(until))
                    if publishing.done():
                        outcomes = publishing.result()
                        if _final(outcomes):
                            entries = await self._acknowledged(records, outcomes)
                            publishing = None
                            return entries
                        publishing = None
                        self._switch.late(_reason(outcomes))
                    else:
                        self._switch.late(f"no acknowledgement within {self._patience:g} s")
                if self._switch.open and await self._write(direct, headers):
                    await _given_up(publishing)
                    publishing = None
                    return direct.entries
                if self._clock() >= until:
                    if direct.problem:
                        logger.warning(
                            "CouchDB has not stored %d of %d records (%s): their write is not "
                            "answered, so that its client tries again",
                            len(direct.left),
                            len(records),
                            shown(direct.problem, longest=_LONGEST_PROBLEM),
                        )
                    raise NotStored
                await asyncio.sleep(min(_PAUSE, max(0.0, until - self._clock())))
        finally:
            if publishing is not None and not publishing.cancel():
                # It has just ended, and what came of it is not remembered yet.
                self._on_the_wire.arrived(record.id for record in records)

    def _wait(self, until: float) -> float:
        left = max(0.0, until - self._clock())
        if self._switch.fallback is Fallback.NONE and self._switch.away_since is not None:
            return left
        return min(self._patience, left)

    async def _publish(self, records: Sequence[Record]) -> list[PublishError | None]:
        started = time.perf_counter()
        outcomes = Outcomes(len(records))
        final = False
        try:
            errors = await self._publisher.publish_all(
                self._topic,
                [record.message for record in records],
                [record.updated for record in records],
                # Those of an id share a partition, so that the first of them stays the first.
                [record.id.encode() for record in records],
                outcomes,
            )
            self._metrics.publish_seconds.observe(time.perf_counter() - started)
            final = _final(errors)
        finally:
            # Even if the client has left.
            self._remember(records, outcomes, final=final)
        if final and None in errors:
            self._switch.acknowledged()
        return errors

    def _remember(self, records: Sequence[Record], outcomes: Outcomes, *, final: bool) -> None:
        """Remember what the persister may store, although CouchDB has or will get it from here.

        Args:
            records: what was published.
            outcomes: what is known of them.
            final: whether the client gets this as its answer. Then all are remembered for readers,
                which is enough for what CouchDB gets from the persister alone.
        """
        if final:
            self._on_the_wire.arrived(self._on_the_wire.written(one.id for one in records))
            return
        unknown = [records[place].id for place in outcomes.unknown]
        if unknown:
            self._on_the_wire.add(unknown, outcomes.complete)
        self._on_the_wire.arrived(records[place].id for place in outcomes.arrived)

    async def _acknowledged(
        self, records: Sequence[Record], outcomes: Sequence[PublishError | None]
    ) -> list[bytes | None]:
        taken = [r for r, o in zip(records, outcomes, strict=True) if o is None]
        self._metrics.records.inc(len(taken))
        self._metrics.record_bytes.inc(sum(len(record.message) for record in taken))
        async for record in in_turns(taken):
            self._recent.add(record)
        return [
            answers.written(record) if outcome is None else None
            async for record, outcome in in_turns(zip(records, outcomes, strict=True))
        ]

    async def _write(self, direct: "_Direct", headers: Mapping[str, str]) -> bool:
        """Try once to write the remaining records to CouchDB; returns whether none are left."""
        left = direct.left
        ids = [direct.records[index].id for index in left]
        self._on_the_wire.write(ids)
        # One that Kafka has taken from the client before.
        taken = [one async for one in in_turns(ids) if self._recent.get(one)]
        self._on_the_wire.arrived(taken)
        documents = [direct.body(index) for index in left]
        try:
            answer = await self._upstream.write(documents, headers)
        except UpstreamError as problem:
            direct.problem = str(problem)
            return False
        if answer.documents is None:
            if answer.status >= 500 or answer.status in _MAY_PASS:  # noqa: PLR2004 - server errors
                direct.problem = f"status {answer.status}"
                return False
            if is_lockout(answer.status, answer.body):
                direct.problem = _LOCKED_OUT
                return False
            raise Refused(answer)
        stored = await direct.take(answer.documents)
        if direct.unclear:
            stored += await self._compare(direct, headers)
        self._switch.direct += stored
        self._metrics.direct_records.inc(stored)
        return not direct.left

    async def _compare(self, direct: "_Direct", headers: Mapping[str, str]) -> int:
        """Settle conflicts by comparing the records with the stored documents.

        Returns:
            How many are the same.
        """
        stored = 0
        turn = Turn()
        try:
            waiting = deque(direct.conflicts())
            while waiting:
                some = waiting.popleft()
                ids = [direct.records[index].id for index in some]
                try:
                    found = await self._upstream.documents(ids, headers)
                except TooLongError:
                    if len(some) == 1:
                        raise
                    # What is stored may be much larger than the records.
                    half = len(some) // 2
                    waiting.extendleft([some[half:], some[:half]])
                    continue
                for index, document in zip(some, found, strict=True):
                    if turn.over:
                        await turn.pass_on()
                    stored += direct.compare(index, document)
        except UpstreamError as problem:
            direct.problem = str(problem)
        except RefusedError as refused:
            if not is_lockout(refused.refusal.status, refused.refusal.body):
                raise
            direct.problem = _LOCKED_OUT
        direct.left = [index for index in direct.left if direct.entries[index] is None]
        return stored


class _Direct:
    """The progress of writing records to CouchDB."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.entries: list[bytes | None] = [None] * len(records)
        self.left = list(range(len(records)))
        self.unclear: dict[int, bytes] = {}
        """CouchDB's entries for conflicting records, by index."""
        self.replaced: dict[int, str] = {}
        """Revisions of stored documents to replace, because they lack the record's logs, by index.
        """
        self.problem = ""
        """Why records are left after the last attempt; empty before the first."""

    def body(self, index: int) -> bytes:
        """The document to write."""
        document = self.records[index].document
        if index not in self.replaced:
            return document
        return b'{"_rev":%b,%b' % (msgspec.json.encode(self.replaced.pop(index)), document[1:])

    async def take(self, entries: Sequence[bytes]) -> int:
        """Apply CouchDB's entries to the remaining records; returns how many are stored."""
        stored = 0
        left = []
        self.unclear = {}
        async for index, entry in in_turns(zip(self.left, entries, strict=True)):
            told = answers.entry(entry)
            if told is None or not (told.error or told.is_of(self.records[index].id)):
                self.problem = f"what it says about a document is not CouchDB's: {shown(entry)}"
                left.append(index)
            elif told.error == "conflict":
                self.unclear[index] = entry
                left.append(index)
            elif told.error and told.error not in _FINAL:
                self.problem = f"it says about a document: {told.error}"
                left.append(index)
            else:
                self.entries[index] = entry
                stored += not told.error
        self.left = left
        return stored

    def conflicts(self) -> Iterator[list[int]]:
        """The indices of conflicting records, of a few or of a large one at a time."""
        some: list[int] = []
        size = 0
        for index in self.unclear:
            one = len(self.records[index].document)
            if some and size + one > _COMPARED:
                yield some
                some, size = [], 0
            some.append(index)
            size += one
        if some:
            yield some

    def compare(self, index: int, found: msgspec.Raw | None) -> bool:
        """Compare a conflicting record with the stored document; returns whether it is the same."""
        if found is None:
            return False  # it was deleted, so it is written again
        try:
            document = _decode(found)
        except _UNREADABLE:
            self.problem = "a document that conflicts cannot be read"
            return False
        if not answers.is_revision(document.get("_rev")):
            self.problem = "a document that conflicts has no revision"
            return False
        record = self.records[index]
        ours = _decode(record.document)
        same = _content(ours) == _content(document) or _only_adds_logs(document, ours)
        if not same and _only_adds_logs(ours, document):
            self.replaced[index] = document["_rev"]
            return False
        self.entries[index] = answers.written(record) if same else self.unclear[index]
        return same


def _content(document: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """The fields that two copies of the same record have in common."""
    return {name: document[name] for name in document.keys() - {"updated", "_rev", *more}}


def _only_adds_logs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether `one` differs from `other` only in having logs, where the other has none."""
    # Anything may be in CouchDB; like the persister, only `[]` counts as having no logs.
    return other.get("logs") == [] and _content(one, "logs") == _content(other, "logs")


async def _given_up(publishing: asyncio.Task[list[PublishError | None]] | None) -> None:
    """Cancel, and wait: what is on its way is remembered before the client may delete it."""
    if publishing is not None:
        publishing.cancel()
        await asyncio.wait([publishing])


def _final(outcomes: Sequence[PublishError | None]) -> bool:
    """Whether Kafka has all records that it will ever take."""
    return all(outcome is None or isinstance(outcome, TooLarge) for outcome in outcomes)


def _reason(outcomes: Sequence[PublishError | None]) -> str:
    return next(str(outcome) for outcome in outcomes if not isinstance(outcome, TooLarge | None))
