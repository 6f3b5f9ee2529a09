"""Works out a result for every document of a request, whatever the database answers."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from app.couchdb.answers import Entry
from app.couchdb.conflicts import Conflicts
from app.couchdb.diagnosis import (
    AMBIGUOUS,
    CONTRADICTIONS,
    CONTRADICTORY,
    MISNAMED,
    Diagnosis,
    certain,
)
from app.couchdb.errors import DatabaseError, EntriesFailed, RequestTooLarge
from app.couchdb.evidence import BY_CHANCE, UNLIKELY
from app.couchdb.faults import fault_of, is_misnamed
from app.couchdb.parts import WAYS, WAYS_OF_HANGING, Part, divide, like
from app.couchdb.requests import Answer, FailedRequest, Others, Requests, entry_failure
from app.couchdb.stats import WriterStats
from app.couchdb.update import Update, plain_of
from app.storing.sink import COMPLETED, STORED, Document, Refused, Result
from models.reasons import RejectReason

HALVES = 2
"""How many parts to divide a request into that is too large as a whole, to find an accepted size.
"""

AT_ONCE_TELLING = frozenset({"400", "413", "500", "timeout"})
"""Causes for which one failure while others pass is enough, because they result from looking at the
request. A time-out has already cost enough, and parts of the request may pass.
"""

FAULTY = frozenset({"400", "500"})
"""Causes after which documents are searched for what CouchDB is known to refuse."""

STUBBORN = 3
"""After this many failures, a request no longer counts as under way, so that others are tried,
which may be of another kind.
"""

PLACES_APART = 4
"""How many parts of divided requests are sent at a time, in addition to ordinary requests."""


class _Course:
    """The course of a request, for the counters of `Settling`."""

    def __init__(self, settling: "Settling") -> None:
        self._settling = settling
        self._failing = self._stubborn = self._apart = False

    def failed(self) -> None:
        self._settling.failing += not self._failing
        self._failing = True

    def is_stubborn(self) -> None:
        if not self._apart:
            self._settling.stubborn += not self._stubborn
            self._stubborn = True

    def goes_apart(self) -> None:
        self._settling.stubborn -= self._stubborn
        self._settling.apart += not self._apart
        self._stubborn, self._apart = False, True

    def ended(self) -> None:
        self._settling.failing -= self._failing
        self._settling.stubborn -= self._stubborn
        self._settling.apart -= self._apart


class Settling:
    """Writes the documents of a request until each has a result.

    Args:
        requests: sends requests.
        conflicts: settles documents that are already there.
        diagnosis: takes over documents that fail while others pass.
        stats: counts what was written, compared and divided.
        shrink: called with the size of a request that was refused as too large as a whole.
    """

    def __init__(
        self,
        requests: Requests,
        conflicts: Conflicts,
        diagnosis: Diagnosis,
        stats: WriterStats,
        shrink: Callable[[int], None],
    ) -> None:
        self._requests = requests
        self._conflicts = conflicts
        self._diagnosis = diagnosis
        self._stats = stats
        self._shrink = shrink
        self.failing = 0
        """How many requests under way have failed."""
        self.stubborn = 0
        """How many requests under way have failed several times, and no longer keep others from
        trying.
        """
        self.apart = 0
        """How many requests under way were divided because others pass, and no longer take a slot.
        """
        self._places_apart = asyncio.Semaphore(PLACES_APART)

    async def settle(self, documents: Sequence[Document]) -> list[Result]:
        """The result of each document, in order.

        Documents with the same id are written one after the other, so that the second meets the
        first like any later one would.
        """
        ids = [document.id for document in documents]
        if len(set(ids)) == len(ids):
            results = await self._settle(documents)
            return [results[id_] for id_ in ids]
        settled: list[Result] = [STORED] * len(documents)
        for positions in rounds(ids):
            results = await self._settle([documents[position] for position in positions])
            for position in positions:
                settled[position] = results[ids[position]]
        return settled

    async def _settle(self, documents: Sequence[Document]) -> dict[str, Result]:
        results: dict[str, Result] = {}
        parts = [Part(documents)]
        course = _Course(self)
        try:
            while parts:
                if any(part.apart for part in parts):
                    parts = await self._settle_apart(parts, results, course)
                else:
                    parts = [*parts[1:], *await self._settle_part(parts[0], results, course)]
        finally:
            course.ended()
        return results

    async def _settle_apart(
        self, parts: list[Part], results: dict[str, Result], course: _Course
    ) -> list[Part]:
        """Send each part once, concurrently: some are slow, and nobody else waits for them."""
        course.goes_apart()
        self._requests.leave()

        async def settle(part: Part) -> list[Part]:
            async with self._places_apart:
                return await self._settle_part(part, results, course)

        return list(chain.from_iterable(await asyncio.gather(*map(settle, parts))))

    async def _settle_part(
        self, part: Part, results: dict[str, Result], course: _Course
    ) -> list[Part]:
        """Send a part once; returns what is left of it."""
        if part.failures >= STUBBORN:
            course.is_stubborn()
        try:
            answer = await self._requests.bulk(part)
            if not answer.complete:
                return await self._settle_entries(part, answer, results)
        except FailedRequest as failure:
            course.failed()
            return await self._failed(part, failure, results)
        stored = COMPLETED if part.completes else STORED
        results.update(dict.fromkeys([one.id for one in part.documents], stored))
        self._stats.documents_written += len(part.documents)
        return []

    async def _settle_entries(
        self, part: Part, answer: Answer, results: dict[str, Result]
    ) -> list[Part]:
        entries = by_id(answer.entries)
        conflicts: list[Document] = []
        unsure: list[Document] = []
        failing: list[Document] = []
        for document in part.documents:
            entry = entries.get(document.id, NO_ENTRY)
            if entry.stored:
                results[document.id] = COMPLETED if part.completes else STORED
                self._stats.documents_written += 1
            elif entry.error == "conflict":
                conflicts.append(document)
            elif entry.cause in AMBIGUOUS:
                unsure.append(document)
            else:
                failing.append(document)
        maybe_ours = part.maybe_written
        part.maybe_written |= bool(unsure)  # in case these cannot be read
        known = await self._conflicts.reconcile(
            conflicts,
            results.__setitem__,
            maybe_ours=maybe_ours,
            completes=part.completes,
            beside=part.apart,
        )
        maybe = await self._conflicts.reconcile(
            unsure,
            results.__setitem__,
            maybe_ours=True,
            completes=part.completes,
            beside=part.apart,
        )
        parts = await self._complete(part, [*known.fuller, *maybe.fuller], results)
        parts += await self._contradicted(part, known.absent, results)
        failing += await self._named(maybe.absent, results)
        return parts + await self._entries_failed(part, failing, entries, answer, results)

    async def _complete(
        self, part: Part, fuller: list[Update], results: dict[str, Result]
    ) -> list[Part]:
        """Write the logs that stored documents lack.

        An update that conflicts, while what is read has no logs still, meets two copies of a shard
        of which one lags behind. It is tried again for a while, then alone.
        """
        if not fuller:
            return []
        contradictions = part.contradictions + part.completes
        if contradictions >= CONTRADICTIONS:
            for document in fuller:
                self._park(part, document, LAGGING, Others.NONE, results)
            return []
        if contradictions:
            await self._requests.rest(contradictions)
        return [Part(fuller, completes=True, contradictions=contradictions)]

    async def _contradicted(
        self, part: Part, absent: list[Document], results: dict[str, Result]
    ) -> list[Part]:
        """Handle conflicts with documents that are not there."""
        if not absent:
            return []
        contradictions = part.contradictions + 1
        if contradictions >= CONTRADICTIONS:
            results.update(dict.fromkeys((document.id for document in absent), CONTRADICTORY))
            return []
        await self._requests.rest(contradictions)
        # What was to be completed is gone: it is written as it came.
        plain = [plain_of(document) for document in absent]
        return [Part(plain, part.maybe_written, contradictions=contradictions)]

    @staticmethod
    async def _named(documents: list[Document], results: dict[str, Result]) -> list[Document]:
        """The documents that an answer can refer to; the others are settled."""
        for document in documents:
            if await is_misnamed(document):
                results[document.id] = MISNAMED
        return [document for document in documents if document.id not in results]

    async def _entries_failed(
        self,
        part: Part,
        failing: list[Document],
        entries: dict[str, Entry],
        answer: Answer,
        results: dict[str, Result],
    ) -> list[Part]:
        """Handle entries that are neither a revision nor a conflict."""
        if not failing:
            return []
        others = answer.others
        if others is not Others.NONE:
            for document in failing:
                error = entry_failure(entries.get(document.id))
                self._park(part, document, error, others, results)
            return []
        again = like(part, failing)
        again.maybe_written, again.failures = True, part.failures + 1
        await self._requests.rest(again.failures)
        return [again]

    async def _failed(
        self, part: Part, failure: FailedRequest, results: dict[str, Result]
    ) -> list[Part]:
        """Handle a request that was not answered with entries."""
        error, others = failure.error, failure.others
        part.maybe_written |= error.maybe_written
        part.documents = [one for one in part.documents if one.id not in results]
        known = await self._known(part, error, others, results)
        if known is not None:
            return known
        part.failures += 1
        part.beside_others += others is not Others.NONE
        if part.beside_others < _needed(error):
            await self._requests.remake(error)
            await self._requests.rest(part.failures)
            return [part]
        if len(part.documents) == 1:
            self._park(part, part.documents[0], error, others, results)
            return []
        if isinstance(error, RequestTooLarge):
            self._shrink(part.bytes)
            return self._counted(divide(part, HALVES, apart=False))
        ways = WAYS_OF_HANGING if error.cause == "timeout" else WAYS
        return self._counted(divide(part, ways))

    async def _known(
        self, part: Part, error: DatabaseError, others: Others, results: dict[str, Result]
    ) -> list[Part] | None:
        """What is left of a part if something is known for certain; None if nothing is."""
        if len(part.documents) == 1:
            refused = await certain(part.documents[0], error, others)
            if refused is None:
                return None
            results[part.documents[0].id] = refused
            return []
        if isinstance(error, RequestTooLarge):
            return self._without_named(part, error, results)
        if error.cause in FAULTY and not part.searched:
            return await self._without_faulty(part)
        return None

    def _without_named(
        self, part: Part, error: RequestTooLarge, results: dict[str, Result]
    ) -> list[Part] | None:
        rest = [one for one in part.documents if one.id != error.document_id]
        if error.document_id is None or len(rest) == len(part.documents):
            return None
        results[error.document_id] = Refused(RejectReason.TOO_LARGE, str(error))
        return self._counted([like(part, rest)])

    async def _without_faulty(self, part: Part) -> list[Part] | None:
        """The documents without a known fault in one part, and each of the others in its own."""
        part.searched = True
        faulty = {one.id for one in part.documents if await fault_of(one)}
        if not faulty:
            return None
        clean = [document for document in part.documents if document.id not in faulty]
        alone = [like(part, [one]) for one in part.documents if one.id in faulty]
        return self._counted(([like(part, clean)] if clean else []) + alone)

    def _park(
        self,
        part: Part,
        document: Document,
        error: DatabaseError,
        others: Others,
        results: dict[str, Result],
    ) -> None:
        results[document.id] = self._diagnosis.park(
            document,
            error,
            maybe_written=part.maybe_written or error.maybe_written,
            vouched=others is Others.RECORDS,
            completes=part.completes,
        )

    def _counted(self, parts: list[Part]) -> list[Part]:
        self._stats.narrowing_requests += len(parts)
        return parts


NO_ENTRY = Entry()

LAGGING = EntriesFailed(
    "conflict: it was changed since it was read, and reading it again tells nothing new",
    error="conflict",
)
"""Said of an update that conflicts again and again."""


def _needed(error: DatabaseError) -> int:
    """How many failures while others pass it takes to count against a request."""
    if error.says_whose_fault:
        return UNLIKELY
    return 1 if error.cause in AT_ONCE_TELLING else BY_CHANCE


def by_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by id; an id with two entries counts as having none."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found[entry.id] = NO_ENTRY if entry.id in found else entry
    return found


def rounds(ids: Sequence[str]) -> list[list[int]]:
    """Positions in rounds, none of which has an id twice; first occurrences come first."""
    result: list[list[int]] = []
    seen: dict[str, int] = {}
    for position, id_ in enumerate(ids):
        number = seen[id_] = seen.get(id_, -1) + 1
        if number == len(result):
            result.append([])
        result[number].append(position)
    return result
