"""Sends requests to the database, one attempt each, and judges what failed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from app.couchdb.answers import Entry
from app.couchdb.availability import Availability
from app.couchdb.circuit import PASSING, Circuit
from app.couchdb.database import Database
from app.couchdb.errors import (
    AnswerTooLarge,
    DatabaseError,
    DatabaseMissing,
    EntriesFailed,
    Unavailable,
)
from app.couchdb.evidence import LONERS, UNLIKELY, Case, Evidence
from app.couchdb.gate import Admission, Gate
from app.couchdb.pace import ConcurrencyLimit
from app.couchdb.parts import Part
from app.couchdb.queue import LARGE
from app.couchdb.stats import WriterStats
from app.storing.sink import Document

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 300.0
"""The longest pause in seconds that is made for `Retry-After`."""

PROBE_SECONDS = 1.0
"""For how many seconds the result of a probe is reused."""

OVERLOAD = frozenset({"429", "503", "timeout"})
"""Causes that always lower the limit of concurrent requests."""


_USUAL = (
    "%s: validation functions refuse the persister's probe while they take documents (%s): this "
    "says nothing of the database, and counts as well"
)


class Others(Enum):
    """What passes while a request fails."""

    NONE = "none"
    PROBE = "probe"
    """Nothing was written, but a trusted probe has passed."""
    RECORDS = "records"
    """Documents of other requests were written in the meantime."""


class FailedRequest(Exception):  # noqa: N818 - says what happened, as `DatabaseError` does
    """A request that failed, with what else passes.

    Args:
        error: what happened.
        others: what passes; if anything does, something in the request may be to blame.
    """

    def __init__(self, error: DatabaseError, others: Others) -> None:
        super().__init__(str(error))
        self.error = error
        self.others = others


@dataclass(slots=True)
class Answer:
    """The answer to a `_bulk_docs` request.

    Args:
        entries: CouchDB's entries.
        complete: whether every document was written, so that nothing else needs to be checked.
        failed: the error of the first entry that is neither a revision nor a conflict, or None.
        others: what passes while `failed` does not; see `FailedRequest`.
    """

    entries: list[Entry]
    complete: bool = False
    failed: EntriesFailed | None = None
    others: Others = Others.RECORDS


class Requests:
    """Sends requests and judges failures.

    Args:
        database: the database to send them to.
        gate: admits every attempt.
        limit: learns from every attempt.
        circuit: makes requests take turns while nothing passes.
        evidence: counts what passes.
        availability: told whether documents are accepted.
        reading: told whether documents can be read back.
        stats: counts every attempt.
        changed: set when a request gives up its place.
        sleep: waits for a number of seconds.
        clock: monotonic seconds.
        random: returns a number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        database: Database,
        *,
        gate: Gate,
        limit: ConcurrencyLimit,
        circuit: Circuit,
        evidence: Evidence,
        availability: Availability,
        reading: Availability,
        stats: WriterStats,
        changed: asyncio.Event,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.on_request: Callable[[str, float], None] = _ignore
        """Called after every attempt with its status (or a word) and its seconds."""
        self.doubtful = False
        """Whether nothing passes, and the last error does not say that the database is at fault."""
        self._database = database
        self._gate = gate
        self._limit = limit
        self._circuit = circuit
        self._evidence = evidence
        self._availability = availability
        self._reading = reading
        self._stats = stats
        self._changed = changed
        self._resting = 0
        self._sleep = sleep
        self._clock = clock
        self._random = random
        self._reads = 0
        self._entries_fail = False
        self._known_good: Document | None = None
        self._probed_at = float("-inf")
        self._probe_passed = False
        self._learned_of: bytes | None = b""
        """Identity of the database for which it is known how the probe is answered while it stores
        documents.
        """
        self._refused: tuple[str, int] | None = None
        """A refusal of the probe, and `Evidence.passes` at that time."""

    async def prepare(self) -> None:
        """Repeat `Database.prepare` until it succeeds."""
        while True:
            async with self._circuit.turn():
                started = self._clock()
                try:
                    await self._database.prepare()
                except DatabaseError as error:
                    self._stats.retries[error.cause] += 1
                    self._database_failed(error, started)
                else:
                    self._availability.succeeded()
                    self._circuit.passed()
                    return

    async def look_after(self) -> None:
        """Notice a replaced database, and restore design documents that are gone.

        Does nothing while requests fail: they report what is wrong themselves, and every request
        with wrong credentials would count towards a lock-out.
        """
        if self._circuit.failing:
            return
        try:
            await self._database.look()
            await self._database.restore_design_documents()
            await self._learn_refusal()
        except DatabaseError as error:
            await self.remake(error)

    async def _learn_refusal(self) -> None:
        """Find out whether the probe is refused while documents are stored.

        Such a refusal says nothing about the database. It counts as usual once it was the same
        before and after documents were stored.
        """
        passes, database = self._evidence.passes, self._database
        if self._known_good is None or self._learned_of == database.identity:
            return
        refusal = await database.refusal_of_probe(self._known_good)
        if refusal is None:
            self._learned_of = database.identity
        elif refusal.cause and not refusal.says_whose_fault:
            said, since = self._refused or ("", passes)
            if said == str(refusal) and passes > since:
                self._learned_of = database.identity
                logger.info(_USUAL, database.address, refusal)
                await database.learn_refusal(said)
            elif said != str(refusal):
                self._refused = (str(refusal), self._evidence.passes)

    async def bulk(self, part: Part, case: Case | None = None) -> Answer:
        """Write a part, in one attempt.

        Args:
            part: the documents to write.
            case: the case of its only document, if that is under diagnosis.

        Raises:
            FailedRequest: the request was not answered with entries.
        """
        async with self._circuit.turn():
            passes = part.seen_passes if case is None else case.seen_passes
            passes = self._evidence.passes if passes is None else passes
            alone = case is not None or part.apart
            documents = part.documents
            failure: DatabaseError | None = None
            self._stats.sizes.observe(len(documents))
            size = part.bytes
            self._stats.bytes.observe(size)
            large = len(documents) == 1 and size > LARGE
            async with self._gate.admit(len(documents), beside=alone, large=large) as admission:
                try:
                    answer = await self._database.bulk(documents, part.timeout)
                except DatabaseError as error:
                    self._count(error.cause, admission)
                    failure = error
                else:
                    self._count(str(answer.status), admission)
                    if not alone:
                        self._limit.answered(
                            started=admission.started,
                            ended=self._clock(),
                            in_flight=admission.in_flight,
                            documents=len(documents),
                            size=size,
                        )
            if failure is None:
                judged = await self._judged(answer.entries, part, passes, admission, case)
                part.seen_passes = self._evidence.passes
                return judged
            patient = case is not None or part.failures >= UNLIKELY
            others = await self._others(failure, passes, case, patient=patient)
            part.seen_passes = self._evidence.passes
            self._note(failure, admission, others, alone=alone)
            raise FailedRequest(failure, others)

    async def read_back(
        self, ids: Sequence[str], largest: int, *, beside: bool = False
    ) -> dict[str, bytes]:
        """The stored documents with these ids, read in one attempt.

        Args:
            ids: the ids to read.
            largest: see `Database.read_together`.
            beside: see `Gate.admit`.

        Raises:
            AnswerTooLarge: they are several, and too large to be read together.
            FailedRequest: they cannot be read now.
        """
        async with self._circuit.turn():
            reads = self._reads
            async with self._gate.admit(0, beside=beside) as admission:
                try:
                    found = await self._database.read_together(ids, largest)
                except DatabaseError as error:
                    self._count(error.cause, admission)
                    if isinstance(error, AnswerTooLarge) and len(ids) > 1:
                        raise
                    failure = error
                else:
                    self._count("200", admission)
                    self._reads += 1
                    self._reading.succeeded()
                    return found
            self._stats.retries[failure.cause] += 1
            failure.maybe_written = False  # it is a question
            if self._reads > reads:
                raise FailedRequest(failure, Others.RECORDS)
            if not failure.says_whose_fault and await self._reads_known_good():
                raise FailedRequest(failure, Others.PROBE)
            self._reading.failed(failure)
            raise FailedRequest(failure, Others.NONE)

    async def _reads_known_good(self) -> bool:
        """Whether a document that was stored earlier can be read."""
        if self._known_good is None:
            return False
        try:
            return bool(await self._database.read_back([self._known_good.id]))
        except DatabaseError:
            return False

    @property
    def resting(self) -> int:
        """How many requests are waiting for their next attempt, without a place."""
        return self._resting + self._circuit.waiting

    def leave(self) -> None:
        """Announce that a request gives up its place."""
        self._changed.set()

    async def rest(self, attempt: int) -> None:
        """Pause before another attempt, unless the circuit makes requests take turns."""
        self._changed.set()
        if self._circuit.failing:
            return
        self._resting += 1
        try:
            await self._sleep(PASSING.delay(attempt, self._random))
        finally:
            self._resting -= 1

    async def _judged(
        self,
        entries: list[Entry],
        part: Part,
        passes: int,
        admission: Admission,
        case: Case | None,
    ) -> Answer:
        """Judge what an answer's entries say about the database."""
        documents = part.documents
        ids = [document.id for document in documents]
        if [entry.id for entry in entries] == ids and all(entry.stored for entry in entries):
            self._passed(documents[-1])
            return Answer(entries, complete=True)
        asked = set(ids)
        # What is said of documents that were not sent, by a proxy say, speaks for nothing.
        entries = [one for one in entries if one.id in asked or _fails(one)]
        failed = _first_failure(entries, len(documents))
        if any(entry.stored for entry in entries):
            self._passed(None)
            return Answer(entries, failed=failed)
        if failed is None:
            # All documents are already there, which says nothing about whether new ones are
            # accepted.
            if not self._entries_fail:
                self._availability.succeeded()
                self._circuit.passed()
            return Answer(entries)
        patient = case is not None or part.failures >= UNLIKELY
        others = await self._others(failed, passes, case, patient=patient)
        failing = sum(map(_fails, entries))
        if others is Others.PROBE and failing > LONERS:
            others = Others.NONE  # so many at once are more than bad luck
        self._note(failed, admission, others, alone=case is not None or part.apart)
        return Answer(entries, failed=failed, others=others)

    def _passed(self, known_good: Document | None) -> None:
        self._evidence.passes += 1
        self._known_good = known_good or self._known_good
        self._entries_fail = self.doubtful = False
        self._availability.succeeded()
        self._circuit.passed()

    async def _others(
        self, error: DatabaseError, passes: int, case: Case | None, *, patient: bool = False
    ) -> Others:
        """What passes while a request fails.

        Args:
            error: what happened.
            passes: `Evidence.passes` before the request.
            case: the case of the only document, if that is under diagnosis.
            patient: whether the failure has lasted so long that even an error that blames the
                database is not believed.
        """
        if self._evidence.passes > passes:
            return Others.RECORDS
        believed = error.about_server or (error.says_whose_fault and not patient)
        if believed or error.counts_against_account or not self._evidence.trusts_probe(case):
            return Others.NONE
        return Others.PROBE if await self._probe() else Others.NONE

    async def _probe(self) -> bool:
        """Whether the database accepts a document that is known to be good."""
        if self._clock() - self._probed_at >= PROBE_SECONDS:
            try:
                self._probe_passed = await self._database.probe(self._known_good)
            except DatabaseError:
                self._probe_passed = False
            if not self._probe_passed:
                self._learned_of = b""  # a validation function may be new
            self._probed_at = self._clock()
        return self._probe_passed

    def _note(
        self, error: DatabaseError, admission: Admission, others: Others, *, alone: bool
    ) -> None:
        self._stats.retries[error.cause] += 1
        if isinstance(error, Unavailable):
            alone_to_blame = alone and others is not Others.NONE
            if error.retry_after is not None and not alone_to_blame:
                self._gate.close_for(min(error.retry_after, LONGEST_PAUSE))
            if not alone and (others is Others.NONE or error.cause in OVERLOAD):
                self._limit.overloaded(started=admission.started, now=self._clock())
        # Such a document was taken out of its request because others pass, so its error does not
        # concern them.
        of_a_part = alone and error.about_server
        if others is Others.NONE and not of_a_part:
            self._database_failed(error, admission.started)

    def _database_failed(self, error: DatabaseError, started: float) -> None:
        self._entries_fail = isinstance(error, EntriesFailed)
        self.doubtful = not (error.says_whose_fault or error.counts_against_account)
        self._availability.failed(error)
        self._circuit.failed(error, started)

    async def remake(self, error: DatabaseError) -> None:
        """Re-create the database after a 404 for it, if that is allowed.

        If the database exists after all, the 404 may come again: a shard's file may be gone, or a
        balancer may ask a node that does not know the database. The next attempt then has to wait.
        """
        if isinstance(error, DatabaseMissing):
            with suppress(DatabaseError):  # already logged, and the next attempt fails again
                if await self._database.prepare():
                    self._circuit.retry_now()

    def _count(self, status: str, admission: Admission) -> None:
        seconds = self._clock() - admission.started
        self._stats.requests[status] += 1
        self._stats.durations.observe(seconds)
        self.on_request(status, seconds)


def _fails(entry: Entry) -> bool:
    return not entry.stored and entry.error != "conflict"


def _first_failure(entries: list[Entry], documents: int) -> EntriesFailed | None:
    for entry in entries:
        if _fails(entry):
            return entry_failure(entry)
    return entry_failure(None) if len(entries) < documents else None


def entry_failure(entry: Entry | None) -> EntriesFailed:
    """The error of an entry without a revision; None stands for a missing entry."""
    if entry is None or not entry.error:
        return EntriesFailed("the answer says nothing of some documents", error="unacknowledged")
    return EntriesFailed(entry.explanation, error=entry.cause[:64])


def _ignore(_status: str, _seconds: float) -> None:
    pass
