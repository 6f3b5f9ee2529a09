"""Removes old activations from the database, oldest first, in small requests with pauses between.

They are found in OpenWhisk's own view `activations/byDate`, which has the id and revision of each,
so that no document is read. If the user is a server administrator, they are purged, which frees the
disk space once CouchDB has compacted. Otherwise they are deleted, and each leaves a tombstone of
about 200 bytes.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from app.couchdb.backoff import Backoff
from app.couchdb.errors import DatabaseError, DatabaseMissing, Unavailable
from app.couchdb.old_activations import PAGE, OldActivation

logger = logging.getLogger(__name__)

T = TypeVar("T")

MARGIN = 86_400.0
"""Seconds beyond the retention in Kafka: a record is appended some time after its activation."""

NOT_OFFERED = frozenset({"404", "405", "501"})
"""What a server answers that has no `_purge`."""

NOT_ALLOWED = frozenset({"400", "401", "403"})
"""What CouchDB answers who may not purge, or whose version does not."""


IN_VAIN = 100
"""Pages of which nothing was there any more, one after the other, after which a run gives up."""


class Method(StrEnum):
    """How a document is removed."""

    PURGE = "purge"
    DELETE = "delete"


class Store(Protocol):
    """What a removal needs of the database. Every method raises `DatabaseError`."""

    async def count_before(self, cutoff: int) -> int:
        """How many activations began before that (epoch millis)."""

    async def oldest(
        self, cutoff: int, limit: int, after: OldActivation | None
    ) -> list[OldActivation]:
        """The next of those that began before the cutoff, the oldest first."""

    async def purge(self, activations: Sequence[OldActivation]) -> int:
        """Purge them; returns how many of them were there in this revision."""

    async def delete(self, activations: Sequence[OldActivation]) -> int:
        """Delete them; returns how many of them were there in this revision."""


@dataclass
class Progress:
    """What a run has done so far.

    Args:
        cutoff: Epoch millis; activations that began before it go.
        found: Those at the start of the run.
        method: None until the first were removed, and in a dry run.
        removed: Documents.
        changed: Documents that were written or removed by somebody else meanwhile; they stay.
        oldest: Epoch millis of the oldest that was found; None if there was none.
    """

    cutoff: int
    found: int = 0
    method: Method | None = None
    removed: int = 0
    changed: int = 0
    oldest: int | None = None


def too_young(cutoff: int, now: float, documents_retention: float) -> float | None:
    """The least age in seconds that may be removed, if the cutoff is younger than that.

    What Kafka still holds can be delivered again, and a copy that finds no document under its id
    would bring the activation back.

    Args:
        cutoff: Epoch millis.
        now: Epoch seconds.
        documents_retention: Seconds that the internal topic keeps documents.
    """
    least = documents_retention + MARGIN
    return least if now - cutoff / 1000 < least else None


@dataclass
class Removal:
    """Removes what began before a cutoff.

    Args:
        store: The database.
        share: Part of the time in which a request may be under way, above 0 and up to 1. A
            database under load answers more slowly, and so gets longer rests.
        method: None: purge where that is allowed, delete elsewhere.
        limit: Most documents to remove in this run; None: all.
        patience: Seconds without any answer of the database after which the run fails; before the
            first one only a tenth of them, since then it may be the address that is wrong.
        told: Is called after each page.
    """

    store: Store
    share: float = 0.2
    method: Method | None = None
    limit: int | None = None
    patience: float = 600.0
    told: Callable[[Progress], None] = lambda _: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    _backoff: Backoff = field(default=Backoff(1.0, 60.0), init=False)
    _answered: bool = field(default=False, init=False)

    async def look(self, cutoff: int) -> Progress:
        """Count only.

        Raises:
            DatabaseError: The database does not answer, or refuses.
        """
        first = await self._patiently(lambda: self.store.oldest(cutoff, 1, None))
        found = await self._patiently(lambda: self.store.count_before(cutoff))
        if first:
            return Progress(cutoff, max(found, 1), oldest=first[0].start)
        return Progress(cutoff)

    async def run(self, cutoff: int) -> Progress:
        """Remove all that began before the cutoff, up to the limit.

        Raises:
            DatabaseError: The database has not answered for too long, or refuses, or lists for
                ever what is not there.
        """
        progress = await self.look(cutoff)
        self.told(progress)
        last: OldActivation | None = None
        in_vain = 0
        before: set[str] = set()
        while (size := self._next_size(progress)) > 0:
            began = self.clock()
            after = last
            page = await self._patiently(lambda: self.store.oldest(cutoff, size, after))  # noqa: B023 - awaited here
            if not page:
                break
            last = page[-1]
            removed = await self._remove(page, progress)
            progress.removed += removed
            progress.changed += len(page) - removed
            self.told(progress)
            ids = {one.id for one in page}
            # What was removed and is listed again was not there, whatever the database says.
            in_vain = in_vain + 1 if not removed or ids <= before else 0
            before = ids
            if in_vain == IN_VAIN:
                raise Unavailable(
                    f"{IN_VAIN} pages of activations/byDate had nothing that could be removed: "
                    "does something else remove them, or does the view not fit the database?",
                    cause="in-vain",
                )
            await self.sleep((self.clock() - began) * (1 / self.share - 1))
        return progress

    def _next_size(self, progress: Progress) -> int:
        return PAGE if self.limit is None else min(PAGE, self.limit - progress.removed)

    async def _remove(self, page: Sequence[OldActivation], progress: Progress) -> int:
        if progress.method is None:
            progress.method = self.method or Method.PURGE
        if progress.method is Method.PURGE:
            try:
                return await self._patiently(lambda: self.store.purge(page))
            except DatabaseError as error:
                if self.method is Method.PURGE or not _refuses_to_purge(error):
                    raise
                logger.warning(
                    "Purging is not possible (%s); deleting instead, which leaves a tombstone of "
                    "each activation",
                    error,
                )
                progress.method = Method.DELETE
        return await self._patiently(lambda: self.store.delete(page))

    async def _patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        """Retry transient failures. A page that was already removed counts as changed."""
        began, attempt, told = self.clock(), 0, ""
        while True:
            try:
                answer = await request()
            except Unavailable as error:
                if error.cause in NOT_OFFERED:
                    raise
                attempt += 1
                pause = error.retry_after or self._backoff.delay(attempt, random.random)
                patience = self.patience if self._answered else self.patience / 10
                if self.clock() - began + pause > patience:
                    raise
                if str(error) != told:
                    left = patience - (self.clock() - began)
                    logger.warning("%s; trying again, for %.0f s at most", error, left)
                    told = str(error)
                await self.sleep(pause)
            else:
                self._answered = True
                return answer


def _refuses_to_purge(error: DatabaseError) -> bool:
    """Whether deleting may be possible; it is not in a database that has gone or moved."""
    possible = not isinstance(error, DatabaseMissing)
    return possible and error.cause in NOT_OFFERED | NOT_ALLOWED
