"""Read-your-writes: serves records that were accepted and are not stored yet.

CouchDB is always asked first: it decides who may read, and its answer is authoritative. Only for a
document that it does not have yet does the gateway answer from memory. Any change of such a
document that goes to CouchDB waits until the persister has stored it, and is not answered if that
takes too long: CouchDB takes some deletions of a document that it does not have, and the persister
would bring the document back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

from aiohttp import web

from app.process.turn import Turn
from openwhisk.gateway import answers
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.upstream import Upstream, UpstreamError

_PAUSE = 0.1
"""Seconds between the first two checks whether documents are stored."""

_LONGEST_PAUSE = 1.0
_LONGER = 1.5
"""How many times as long the next pause is: many may wait, each with questions of its own."""

_QUESTION = 1.0
"""Seconds that CouchDB has for the answer at least, however little patience is left."""

_TOGETHER = 1000
"""How many documents to ask about at once."""

_JOINING = 1 / 20
"""The share of the patience in which others may join one who is going to ask for all documents. So
an owner has twenty lists of them at the most.
"""


class NotStoredYet(Exception):  # noqa: N818 - what is the case
    """A document that is to be changed was accepted, and has not been stored in time."""


class Reads:
    """Answers for documents that are not stored yet.

    Args:
        recent: recently accepted records.
        on_the_wire: documents that the persister may store yet, unknown to their clients.
        upstream: CouchDB.
        patience: seconds to wait for the persister to store a document before it is changed.
        metrics: counts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        recent: Recent,
        on_the_wire: OnTheWire,
        upstream: Upstream,
        *,
        patience: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recent = recent
        self._on_the_wire = on_the_wire
        self._upstream = upstream
        self._patience = patience
        self._metrics = metrics
        self._clock = clock
        self._joining: dict[str, asyncio.Future[bool]] = {}
        """By owner, who is going to ask for all documents: whether they are stored."""

    async def document(self, request: web.Request, document_id: str) -> web.Response | None:
        """The answer to `GET` or `HEAD` of a document; None if that is left to CouchDB."""
        record = self._recent.get(document_id)
        if record is None:
            return None
        try:
            missing, said = await self._upstream.missing(document_id, request.headers)
        except UpstreamError:
            return None
        if missing is False:
            self._recent.forget(document_id)
        if not missing:
            return None
        self._metrics.early_reads.inc()
        return answers.read(record, said)

    @property
    def expect_any(self) -> bool:
        """Whether there may be documents that the persister has yet to store."""
        return bool(self._recent) or bool(self._on_the_wire)

    def expect(self, document_id: str) -> bool:
        """Whether the persister may have yet to store a document."""
        return document_id in self._on_the_wire or self._recent.get(document_id) is not None

    def forget(self) -> None:
        """The database is another one: what was accepted before is no longer in it."""
        self._recent.clear()

    async def stored(self, document_ids: Iterable[str], headers: Mapping[str, str]) -> None:
        """Wait until the persister has stored recently accepted ones, and CouchDB says so.

        Raises:
            NotStoredYet: not within `patience`.
            RefusedError: CouchDB refuses the credentials. So who is a stranger to it does not learn
                which documents are on the wire.
        """
        await self._wait(list(document_ids), headers, self._clock() + self._patience)

    async def all_stored(self, headers: Mapping[str, str], owner: str) -> None:
        """Wait until all documents that the persister may have yet to store by now are stored.

        For those of one owner who come soon after one another, the first one asks: there may be
        tens of thousands of documents, and hundreds of requests that wait.

        Args:
            headers: of the client.
            owner: who waits. Whoever is slow to be answered holds up nobody else.

        Raises:
            NotStoredYet: not within `patience`.
            RefusedError: CouchDB refuses the credentials.
        """
        if not self.expect_any:
            return
        until = self._clock() + self._patience
        # Each for itself about one: a stranger is refused without waiting for the others.
        await self._left(list(islice(self._all(), 1)), headers, until)
        while not await self._all_stored_for(owner, headers, until):
            if self._clock() >= until:
                raise NotStoredYet

    async def _all_stored_for(self, owner: str, headers: Mapping[str, str], until: float) -> bool:
        """Wait for all documents with others of the owner; False if that came to nothing."""
        joined = self._joining.get(owner)
        if joined is not None:
            done, _ = await asyncio.wait({joined}, timeout=max(until - self._clock(), 0))
            return bool(done) and joined.result()
        joining = self._joining[owner] = asyncio.get_running_loop().create_future()
        stored = False
        try:
            await asyncio.sleep(self._patience * _JOINING)
            del self._joining[owner]
            await self._wait(list(dict.fromkeys(self._all())), headers, until)
            stored = True
        finally:
            if self._joining.get(owner) is joining:
                del self._joining[owner]
            joining.set_result(stored)
        return stored

    def _all(self) -> Iterator[str]:
        return chain(self._recent, self._on_the_wire)

    async def _wait(self, waiting: list[str], headers: Mapping[str, str], until: float) -> None:
        pause, together = _PAUSE, _TOGETHER
        while waiting := await self._left(waiting, headers, until, together):
            left = until - self._clock()
            if left <= 0:
                raise NotStoredYet
            await asyncio.sleep(min(pause, left))
            pause, together = min(pause * _LONGER, _LONGEST_PAUSE), 1

    async def _left(
        self,
        document_ids: list[str],
        headers: Mapping[str, str],
        until: float,
        together: int = _TOGETHER,
    ) -> list[str]:
        """Those that may have yet to be stored: all if CouchDB does not say.

        It takes a change as soon as it is back.
        """
        try:
            async with asyncio.timeout(max(until - self._clock(), _QUESTION)):
                return await self._not_stored(document_ids, headers, together)
        except (UpstreamError, TimeoutError):
            return document_ids

    async def _not_stored(
        self, document_ids: list[str], headers: Mapping[str, str], together: int
    ) -> list[str]:
        """Those that the persister may have yet to store, among others behind the first such one.

        All are waited for. So while some are not stored, CouchDB is asked about none behind them.

        Args:
            document_ids: of the documents.
            headers: of the client.
            together: how many to ask about at first.
        """
        turn = Turn()
        first, end = 0, together
        while first < len(document_ids):
            some = [one for one in document_ids[first:end] if self.expect(one)]
            stored = await self._upstream.stored(some, headers) if some else frozenset()
            for one in stored:
                self._recent.forget(one)
            left = [
                one
                for one in some
                # That CouchDB has one that was also written to it proves nothing.
                if one not in stored or self._on_the_wire.is_written(one)
            ]
            if left:
                return left + document_ids[end:]
            first, end = end, end + _TOGETHER
            if turn.over:
                await turn.pass_on()
        return []
