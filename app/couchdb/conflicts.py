"""Resolves conflicts by reading the stored document back and comparing it."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from app.couchdb.comparison import Same, Stored, compare, is_large
from app.couchdb.errors import AnswerTooLarge
from app.couchdb.requests import FailedRequest, Requests
from app.couchdb.stats import WriterStats
from app.couchdb.update import Update, update_of
from app.process.turn import Turn
from app.storing.sink import COMPLETED, DUPLICATE, STORED, Document, Outcome, Refused
from models.reasons import RejectReason

logger = logging.getLogger(__name__)

_WRONG_LOG_MODE = (
    "%s came twice, once without its logs and once with them: OpenWhisk keeps logs inside the "
    "records and acknowledges before it has them. The record with logs is kept, at the price of a "
    "second revision. Set PERSISTER_LOG_MODE=in-record, so that only %sactivations is read. This "
    "is said once; the count is in the outcomes as `completed by logs`."
)


_TOGETHER = 16 * 1024 * 1024
"""Most bytes of documents that are read back together; twice the bytes of a request. What is stored
may be much larger than what conflicts with it.
"""


@dataclass(slots=True)
class Reconciled:
    """Documents that comparing them with what is stored did not settle."""

    absent: list[Document] = field(default_factory=list)
    """Documents that the database does not have."""
    fuller: list[Update] = field(default_factory=list)
    """Updates that add logs to documents that are stored without them."""


class Conflicts:
    """Settles documents that the database may already have.

    Args:
        requests: reads documents back.
        stats: counts compared documents.
        topic_prefix: the prefix of OpenWhisk's topics, for the advice.
    """

    def __init__(self, requests: Requests, stats: WriterStats, topic_prefix: str = "") -> None:
        self._requests = requests
        self._stats = stats
        self._topic_prefix = topic_prefix
        self._told = False

    async def reconcile(
        self,
        documents: Sequence[Document],
        settle: Callable[[str, Outcome], object],
        *,
        maybe_ours: bool,
        completes: bool = False,
        beside: bool = False,
    ) -> Reconciled:
        """Settle the documents that the database has.

        Args:
            documents: those that it reported a conflict or an unclear error for.
            settle: called with the id and the outcome of each, also of some of them if others
                cannot be read.
            maybe_ours: whether an earlier attempt may have written them.
            completes: whether that attempt was an update with the logs.
            beside: see `Gate.admit`.

        Raises:
            FailedRequest: they cannot be read now.
        """
        found = Reconciled()
        written = COMPLETED if completes else STORED
        equal = written if maybe_ours else DUPLICATE
        by_id = {document.id: document for document in documents}
        turn = Turn()
        async for id_, body in self._stored(list(by_id), beside=beside):
            self._stats.conflicts_read_back += 1
            document = by_id[id_]
            if body is None:
                found.absent.append(document)
                continue
            outcome = await self._outcome(document, Stored(body), equal=equal)
            if outcome is None:
                found.fuller.append(update_of(document, body))
            else:
                settle(id_, outcome)
            if turn.over:
                await turn.pass_on()
        return found

    async def compare(self, documents: Sequence[Document]) -> list[Outcome | None]:
        """Settle documents as far as nothing has to be written; see `app.storing.sink.Sink`."""
        outcomes: list[Outcome | None] = [None] * len(documents)
        places: dict[str, list[int]] = {}
        for place, document in enumerate(documents):
            places.setdefault(document.id, []).append(place)
        turn = Turn()
        with suppress(FailedRequest):  # it is dealt with when one of those that are left is written
            async for id_, body in self._stored(list(places)):
                if body is None:
                    continue
                stored = Stored(body)
                for place in places[id_]:
                    outcome = await self._outcome(documents[place], stored)
                    if outcome is None:
                        break  # those behind it are compared with what it will have written
                    self._stats.compared += 1
                    outcomes[place] = outcome
                    if turn.over:
                        await turn.pass_on()
        return outcomes

    async def _stored(
        self, ids: Sequence[str], *, beside: bool = False
    ) -> AsyncIterator[tuple[str, bytes | None]]:
        """What is stored under each id, if anything; read a part at a time if it is large."""
        waiting = deque([ids] if ids else [])
        while waiting:
            some = waiting.popleft()
            try:
                found = await self._requests.read_back(some, _TOGETHER, beside=beside)
            except AnswerTooLarge:
                half = len(some) // 2
                waiting.extendleft([some[half:], some[:half]])
                continue
            for id_ in some:
                yield id_, found.pop(id_, None)

    async def _outcome(
        self, document: Document, stored: Stored, *, equal: Outcome = DUPLICATE
    ) -> Outcome | None:
        """What the stored document makes of another; None if that has the logs which it lacks."""
        same = await _compared(document.body, stored)
        if isinstance(same, str):
            return Refused(RejectReason.DIVERGENT, same, proven=True)
        if same is Same.EQUAL:
            return equal
        self._tell(document)
        return DUPLICATE if same is Same.STORED_HAS_LOGS else None

    def _tell(self, document: Document) -> None:
        if not self._told:
            self._told = True
            logger.warning(_WRONG_LOG_MODE, document.id, self._topic_prefix)


async def _compared(ours: bytes, stored: Stored) -> Same | str:
    """`compare`, in a thread if that may take seconds."""
    if is_large(ours, stored):
        return await asyncio.to_thread(compare, ours, stored)
    return compare(ours, stored)
