"""Resolves conflicts by reading the stored document back and comparing it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.couchdb.comparison import Same, Stored, compare, is_large
from app.couchdb.requests import Requests
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


@dataclass(slots=True)
class Reconciled:
    """The result of comparing documents with what is stored."""

    settled: dict[str, Outcome] = field(default_factory=dict)
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
        *,
        maybe_ours: bool,
        completes: bool = False,
        beside: bool = False,
    ) -> Reconciled:
        """Settle the documents that the database has.

        Args:
            documents: those that it reported a conflict or an unclear error for.
            maybe_ours: whether an earlier attempt may have written them.
            completes: whether that attempt was an update with the logs.
            beside: see `Gate.admit`.

        Raises:
            FailedRequest: they cannot be read now.
        """
        found = Reconciled()
        if not documents:
            return found
        stored = await self._requests.read_back(
            [document.id for document in documents], beside=beside
        )
        self._stats.conflicts_read_back += len(documents)
        written = COMPLETED if completes else STORED
        equal = written if maybe_ours else DUPLICATE
        for document in documents:
            if document.id not in stored:
                found.absent.append(document)
                continue
            outcome = await self._outcome(document, Stored(stored[document.id]), equal=equal)
            if outcome is None:
                found.fuller.append(update_of(document, stored[document.id]))
            else:
                found.settled[document.id] = outcome
        return found

    async def compare(self, documents: Sequence[Document]) -> list[Outcome | None]:
        """Settle documents as far as nothing has to be written; see `app.storing.sink.Sink`.

        Raises:
            FailedRequest: what is stored cannot be read now.
        """
        found = await self._requests.read_back(list({document.id for document in documents}))
        outcomes: list[Outcome | None] = []
        stored: Stored | None = None
        turn = Turn()
        for document in documents:
            if turn.over:
                await turn.pass_on()
            body = found.get(document.id)
            if body is None:
                outcomes.append(None)
                continue
            if stored is None or stored.body is not body:
                # One at a time is held decoded: those of an id come together.
                stored = Stored(body)
            outcome = await self._outcome(document, stored)
            if outcome is None:
                # Those behind it have to be compared with what it will have written.
                del found[document.id]
            self._stats.compared += outcome is not None
            outcomes.append(outcome)
        return outcomes

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
