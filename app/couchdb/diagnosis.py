"""Tries documents that fail while others pass, one by one, until it is clear whose fault it is.

They no longer hold their request or its slot, and the documents that came with them are stored and
remembered. Only the commit of their partition waits for them, so a diagnosis is short.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from itertools import count

from app.couchdb.answers import Entry
from app.couchdb.availability import advice
from app.couchdb.backoff import Backoff
from app.couchdb.conflicts import Conflicts
from app.couchdb.errors import RATHER_THE_SERVER, DatabaseError, EntriesFailed, RequestTooLarge
from app.couchdb.evidence import LONERS, Case, Evidence
from app.couchdb.faults import fault_of, is_misnamed
from app.couchdb.parts import Part, suspect_timeout
from app.couchdb.requests import FailedRequest, Others, Requests, entry_failure
from app.couchdb.turns import Turns
from app.couchdb.update import plain_of
from app.storing.sink import COMPLETED, STORED, Document, Outcome, Parked, Refused, SinkStopped
from models.reasons import RejectReason

logger = logging.getLogger(__name__)

BETWEEN = Backoff(first=0.5, longest=8.0)
"""Pauses between attempts to write a document."""

FLAPPING = Backoff(first=0.5, longest=2.0)
"""The pauses while others recover from the same error: the more attempts fail, the less likely that
is chance.
"""

ATTEMPTS_A_SECOND = 100
"""The most attempts per second for all documents together that wait for the server, which may take
hours, for example to get free disk space.
"""

CROWD = 10
"""With more documents than this under diagnosis, each is tried only as often as necessary: an
attempt costs the database as much as storing four documents.
"""

CONTRADICTIONS = 10
"""After this many conflicts with a document that does not exist, it is given up.

A document that is deleted between the conflict and the read-back causes one of these. In a cluster,
a copy of a shard may have a document that another copy does not know yet (cloudant/bigcouch#103);
ten attempts take twenty seconds and more, enough for that to pass. A database that still reports
conflicts contradicts itself.
"""

CONTRADICTORY = Refused(
    RejectReason.REFUSED, "the database reports a conflict with a document that it does not hold"
)
MISNAMED = Refused(
    RejectReason.REFUSED,
    "the document's _id is not the id that it was to be written under",
    proven=True,
)


@dataclass(eq=False, slots=True)
class _Suspect:
    document: Document
    cause: str
    maybe_written: bool
    completes: bool
    case: Case
    outcome: asyncio.Future[Outcome]
    contradictions: int = 0
    last: DatabaseError | None = None
    """The error of the last attempt."""
    waits: bool = False
    """Whether no document is to blame for the last error."""


class Diagnosis:
    """Finds out whether failing documents are to blame.

    Args:
        requests: sends the attempts.
        conflicts: settles documents that are already there.
        evidence: decides when a document is condemned.
        start: starts a task that runs as long as the writer.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        requests: Requests,
        conflicts: Conflicts,
        evidence: Evidence,
        *,
        start: Callable[[Coroutine[None, None, None]], object],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._requests = requests
        self._conflicts = conflicts
        self._evidence = evidence
        self._start = start
        self._clock = clock
        self._sleep = sleep
        self._suspects: set[_Suspect] = set()
        self._turns = Turns(evidence.settings.limit, lambda: self.parked)

    @property
    def parked(self) -> int:
        """How many documents are under diagnosis."""
        return len(self._suspects)

    def park(
        self,
        document: Document,
        error: DatabaseError,
        *,
        maybe_written: bool,
        vouched: bool,
        completes: bool = False,
    ) -> Parked:
        """Take over a document that fails while others pass.

        Args:
            document: the document.
            error: the error that it failed with.
            maybe_written: see `Part`.
            vouched: whether other records were written at the same time.
            completes: see `Part`.
        """
        case = self._evidence.open(self._clock(), vouched=vouched)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        suspect = _Suspect(document, error.cause, maybe_written, completes, case, outcome)
        suspect.waits = error.about_server
        self._tell(suspect, error)
        self._suspects.add(suspect)
        self._start(self._examine(suspect))
        return Parked(outcome)

    def _tell(self, suspect: _Suspect, error: DatabaseError) -> None:
        if suspect.waits and not any(other.waits for other in self._suspects):
            logger.error(
                "A part of the database does not store %s, and maybe others, while the rest of it "
                "stores: %s; %s",
                *(suspect.document.id, error, advice(error)),
            )
        elif not self._suspects:
            logger.warning(
                "The database does not store %s, and maybe others, while it stores the rest: %s. "
                "They are tried alone; who fails again and again for at least %g s while others "
                "pass is set aside.",
                *(suspect.document.id, error, self._evidence.settings.seconds),
            )

    def stop(self) -> None:
        """Give up all documents under diagnosis."""
        for suspect in self._suspects:
            if not suspect.outcome.done():
                suspect.outcome.set_exception(
                    SinkStopped("the writer was stopped before the diagnosis was over")
                )
                # Retrieved, or asyncio would complain: those who waited for it have already
                # stopped.
                suspect.outcome.exception()

    async def _examine(self, suspect: _Suspect) -> None:
        found: Outcome | None = None
        try:
            for attempt in count(1):
                await self._sleep(self._pause(suspect, attempt))
                async with self._turns.turn():
                    found = self._judged(suspect) or await self._timed_attempt(suspect)
                if found is not None:
                    break
        finally:
            self._suspects.discard(suspect)
            recovered = None if found is None or isinstance(found, Refused) else suspect.cause
            self._evidence.close(suspect.case, recovered)
        if found is not None and not suspect.outcome.done():
            suspect.outcome.set_result(found)

    def _pause(self, suspect: _Suspect, attempt: int) -> float:
        """Seconds to wait before an attempt; the first has number 1."""
        if attempt > 1 and suspect.waits:
            return max(BETWEEN.delay(attempt, _surely), len(self._suspects) / ATTEMPTS_A_SECOND)
        if attempt > 1 and len(self._suspects) > CROWD:
            enough = self._evidence.settings
            return enough.seconds / (enough.attempts - 1)
        between = FLAPPING if suspect.case.flapping else BETWEEN
        return between.delay(attempt, _surely)

    def _judged(self, suspect: _Suspect) -> Refused | None:
        """The refusal of a document at its time limit, if the evidence is enough."""
        if suspect.last is None or not self._evidence.suffices(suspect.case, self._clock()):
            return None
        return self._refused(suspect, suspect.last)

    async def _timed_attempt(self, suspect: _Suspect) -> Outcome | None:
        started = self._clock()
        found = await self._attempt(suspect)
        self._turns.took(self._clock() - started)
        return found

    async def _attempt(self, suspect: _Suspect) -> Outcome | None:
        """Write the document alone; returns its outcome, or None if that is still open."""
        part = Part([suspect.document], timeout=suspect_timeout([suspect.document]))
        try:
            answer = await self._requests.bulk(part, suspect.case)
            entry = answer.entries[0] if answer.entries else None
            if answer.complete:
                return COMPLETED if suspect.completes else STORED
            conflict = entry is not None and entry.error == "conflict"
            if conflict or _ambiguous(entry):
                suspect.maybe_written |= not conflict
                settled = await self._reconcile(suspect)
                if settled is not None:
                    return settled
            if conflict and suspect.completes:
                # The record has what the stored document lacks, so it waits until that is written.
                suspect.waits, suspect.last = True, None
                return None
            if conflict:
                suspect.contradictions += 1
                return CONTRADICTORY if suspect.contradictions >= CONTRADICTIONS else None
            error: DatabaseError = answer.failed or entry_failure(entry)
            others = answer.others
        except FailedRequest as failure:
            error, others = failure.error, failure.others
        suspect.maybe_written |= error.maybe_written
        refused = await certain(suspect.document, error, others)
        return refused or self._weigh(suspect, error, others)

    async def _reconcile(self, suspect: _Suspect) -> Outcome | None:
        """The outcome by comparison with the stored document, if there is one."""
        settled: dict[str, Outcome] = {}
        found = await self._conflicts.reconcile(
            [suspect.document],
            settled.__setitem__,
            maybe_ours=suspect.maybe_written,
            completes=suspect.completes,
            beside=True,
        )
        if settled:
            return settled[suspect.document.id]
        if found.fuller:
            suspect.document, suspect.completes, suspect.contradictions = found.fuller[0], True, 0
        elif await is_misnamed(suspect.document):
            return MISNAMED
        else:
            suspect.document, suspect.completes = plain_of(suspect.document), False
        return None

    def _weigh(self, suspect: _Suspect, error: DatabaseError, others: Others) -> Refused | None:
        suspect.cause = error.cause
        suspect.last = error.with_traceback(None)  # its frames hold the request's body
        suspect.waits = error.about_server or self._of_many(error)
        condemned = self._evidence.failed(
            suspect.case,
            self._clock(),
            error.cause,
            others_pass=others is not Others.NONE and not suspect.waits,
            telling=not error.says_whose_fault,
        )
        return self._refused(suspect, error) if condemned else None

    def _of_many(self, error: DatabaseError) -> bool:
        """Whether so many documents fail with this error that a shard must be away."""
        if not isinstance(error, EntriesFailed) or error.cause not in RATHER_THE_SERVER:
            return False
        return sum(other.cause == error.cause for other in self._suspects) > LONERS

    def _refused(self, suspect: _Suspect, error: DatabaseError) -> Refused:
        now, case = self._clock(), suspect.case
        too_large = isinstance(error, RequestTooLarge)
        return Refused(
            RejectReason.TOO_LARGE if too_large else RejectReason.REFUSED,
            f"{error} (alone {case.beside} times in {now - case.opened:.0f} s, while others were "
            "stored)",
        )


async def certain(document: Document, error: DatabaseError, others: Others) -> Refused | None:
    """The refusal of a document that failed alone, if no further evidence is needed."""
    if isinstance(error, RequestTooLarge) and error.document_id == document.id:
        return Refused(RejectReason.TOO_LARGE, str(error))
    if error.cause not in ("400", "500") or error.foreign:
        return None
    fault = await fault_of(document)
    # A 500 may have another cause, and another database may accept what CouchDB does not.
    meant = error.cause == "400" or "badarith" in str(error) or others is not Others.NONE
    if not fault or not meant:
        return None
    return Refused(RejectReason.REFUSED, f"{fault}: {error}", proven=True)


AMBIGUOUS = frozenset(
    {"", "internal_server_error", "unknown_error", "timeout", "service_unavailable", "nodedown"}
)
"""Errors of an entry after which the document may nevertheless have been written."""


def _ambiguous(entry: Entry | None) -> bool:
    return entry is None or entry.cause in AMBIGUOUS


def _surely() -> float:
    return 1.0
