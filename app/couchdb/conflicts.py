"""Resolves conflicts by reading the stored document back and comparing it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.couchdb.comparison import Same, compare, is_large, with_revision
from app.couchdb.errors import Unavailable
from app.couchdb.requests import FailedRequest, Others, Requests
from app.couchdb.stats import WriterStats
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
    fuller: list[Document] = field(default_factory=list)
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
            FailedRequest: they cannot be read now, or one of them has no revision to replace.
        """
        found = Reconciled()
        if not documents:
            return found
        stored = await self._requests.read_back(
            [document.id for document in documents], beside=beside
        )
        self._stats.conflicts_read_back += len(documents)
        for document in documents:
            if document.id not in stored:
                found.absent.append(document)
                continue
            match await _compared(document.body, stored[document.id]):
                case Same.EQUAL:
                    ours = COMPLETED if completes else STORED
                    found.settled[document.id] = ours if maybe_ours else DUPLICATE
                case Same.STORED_HAS_LOGS:
                    self._tell(document)
                    found.settled[document.id] = DUPLICATE
                case Same.OURS_HAS_LOGS:
                    self._tell(document)
                    found.fuller.append(_update(document, stored[document.id]))
                case str(differs):
                    found.settled[document.id] = Refused(
                        RejectReason.DIVERGENT, differs, proven=True
                    )
        return found

    def _tell(self, document: Document) -> None:
        if not self._told:
            self._told = True
            logger.warning(_WRONG_LOG_MODE, document.id, self._topic_prefix)


def _update(document: Document, stored: bytes) -> Document:
    """The document as an update of the stored one.

    Raises:
        FailedRequest: the answer does not say of which revision.
    """
    try:
        return Document(document.id, with_revision(document.body, stored))
    except Unavailable as error:
        # Everything else can be read, so this document alone may be to blame.
        raise FailedRequest(error, Others.RECORDS) from None


async def _compared(ours: bytes, stored: bytes) -> Same | str:
    """`compare`, in a thread if that may take seconds."""
    if is_large(ours, stored):
        return await asyncio.to_thread(compare, ours, stored)
    return compare(ours, stored)
