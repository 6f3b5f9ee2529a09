"""From the documents of one request to a result for each, whatever the database answers."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from app.couchdb.answers import Entry
from app.couchdb.comparison import difference
from app.couchdb.errors import RequestRefused, RequestTooLarge, TooMuchAtOnce
from app.couchdb.narrowing import halve, isolate_suspects, without
from app.couchdb.requests import Part, Requests
from app.couchdb.stats import WriterStats
from app.couchdb.suspects import carries_its_id
from app.storing.sink import DUPLICATE, STORED, Document, Refused, Result
from models.reasons import RejectReason

PASSING_ERRORS = frozenset(
    {"internal_server_error", "unknown_error", "timeout", "service_unavailable", "nodedown"}
)
"""Errors of a single entry that say nothing about the document."""

CONTRADICTIONS = 5
"""Conflicts about a document that does not exist, after which it is given up.

A document deleted between the conflict and the reading back makes one of these; more than a few in
a row are a database that contradicts itself.
"""


class Settling:
    """Settles documents, one request after the other.

    Args:
        requests: Sends them.
        stats: Counts what was written, compared and divided.
        shrink: Is told the bytes of a request that something in front of CouchDB found too large.
    """

    def __init__(
        self, requests: Requests, stats: WriterStats, shrink: Callable[[int], None]
    ) -> None:
        self._requests = requests
        self._stats = stats
        self._shrink = shrink

    async def settle(self, documents: Sequence[Document]) -> list[Result]:
        """The result of each document, in order.

        Two documents of one id are written one after the other, so that the second meets the first
        as any later one would.
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
        parts = deque([Part(documents)])
        while parts:
            part = parts.popleft()
            try:
                entries = await self._requests.bulk(part)
            except RequestRefused as error:
                parts.extend(self._divide_refused(part, error, results))
            except RequestTooLarge as error:
                parts.extend(self._divide_too_large(part, error, results))
            except TooMuchAtOnce:
                # The first half at once: what else waits stays whole until it fails itself.
                parts.extendleft(reversed(self._counted(halve(part))))
            else:
                parts.extend(await self._settle_answer(part, entries, results))
        return results

    def _divide_refused(
        self, part: Part, error: RequestRefused, results: dict[str, Result]
    ) -> list[Part]:
        if len(part.documents) == 1:
            results[part.documents[0].id] = Refused(RejectReason.REFUSED, str(error))
            return []
        return self._counted(isolate_suspects(part))

    def _divide_too_large(
        self, part: Part, error: RequestTooLarge, results: dict[str, Result]
    ) -> list[Part]:
        named = error.document_id
        if len(part.documents) == 1:
            named = part.documents[0].id
        if named is None or all(document.id != named for document in part.documents):
            self._shrink(sum(len(document.body) for document in part.documents))
            return self._counted(halve(part))
        results[named] = Refused(RejectReason.TOO_LARGE, str(error))
        rest = without(part, named)
        return self._counted([rest]) if rest.documents else []

    async def _settle_answer(
        self, part: Part, entries: list[Entry], results: dict[str, Result]
    ) -> list[Part]:
        ids = [document.id for document in part.documents]
        if [entry.id for entry in entries] == ids and all(entry.rev for entry in entries):
            results.update(dict.fromkeys(ids, STORED))
            self._stats.documents_written += len(ids)
            return []
        return await self._settle_entries(part, by_id(entries), results)

    async def _settle_entries(
        self, part: Part, entries: dict[str, Entry], results: dict[str, Result]
    ) -> list[Part]:
        conflicts: list[Document] = []
        unanswered: list[Document] = []
        for document in part.documents:
            entry = entries.get(document.id, NO_ENTRY)
            if entry.rev:
                results[document.id] = STORED
                self._stats.documents_written += 1
            elif entry.error == "conflict":
                conflicts.append(document)
            elif not entry.error or entry.error in PASSING_ERRORS:
                self._stats.retries[entry.error or "unacknowledged"] += 1
                unanswered.append(document)
            else:
                results[document.id] = Refused(RejectReason.REFUSED, entry.explanation)
        conflicting = await self._compare(conflicts, results, maybe_ours=part.maybe_written)
        unanswered = await self._compare(unanswered, results, maybe_ours=True)
        return await self._again(part, conflicting, unanswered, results)

    async def _compare(
        self, documents: list[Document], results: dict[str, Result], *, maybe_ours: bool
    ) -> list[Document]:
        """Settle what the database holds; returns the documents that it does not hold."""
        if not documents:
            return []
        stored = await self._requests.read_back([document.id for document in documents])
        self._stats.conflicts_read_back += len(documents)
        absent = []
        for document in documents:
            if document.id not in stored:
                absent.append(document)
            elif differs := difference(document.body, stored[document.id]):
                results[document.id] = Refused(RejectReason.DIVERGENT, differs)
            else:
                results[document.id] = STORED if maybe_ours else DUPLICATE
        return absent

    async def _again(
        self,
        part: Part,
        conflicting: list[Document],
        unanswered: list[Document],
        results: dict[str, Result],
    ) -> list[Part]:
        fruitless = part.fruitless + 1
        contradictions = part.contradictions + 1
        if contradictions >= CONTRADICTIONS:
            results.update(dict.fromkeys((document.id for document in conflicting), CONTRADICTORY))
            conflicting = []
        misnamed = [document for document in unanswered if not carries_its_id(document)]
        results.update(dict.fromkeys((document.id for document in misnamed), MISNAMED))
        unanswered = [document for document in unanswered if document.id not in results]
        parts = []
        if conflicting:
            parts.append(Part(conflicting, part.maybe_written, fruitless, contradictions))
        if unanswered:
            parts.append(Part(unanswered, True, fruitless, part.contradictions))
        if parts:
            await self._requests.pause(fruitless)
        return parts

    def _counted(self, parts: list[Part]) -> list[Part]:
        self._stats.narrowing_requests += len(parts)
        return parts


NO_ENTRY = Entry()
CONTRADICTORY = Refused(
    RejectReason.REFUSED, "the database reports a conflict with a document that it does not hold"
)
MISNAMED = Refused(
    RejectReason.REFUSED, "the document's _id is not the id that it was to be written under"
)


def by_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by id; an id that is answered twice is as good as not answered."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found[entry.id] = NO_ENTRY if entry.id in found else entry
    return found


def rounds(ids: Sequence[str]) -> list[list[int]]:
    """Positions in rounds, so that each round has every id once: first occurrences first."""
    result: list[list[int]] = []
    seen: dict[str, int] = {}
    for position, id_ in enumerate(ids):
        number = seen[id_] = seen.get(id_, -1) + 1
        if number == len(result):
            result.append([])
        result[number].append(position)
    return result
