"""Read-your-writes: serves records that were accepted and are not stored yet.

CouchDB is always asked first: it decides who may read, and its answer is authoritative. Only for a
document that it does not have yet does the gateway answer from memory. Any change of such a
document that goes to CouchDB waits until the persister has stored it, and is not answered if that
takes too long: CouchDB takes some deletions of a document that it does not have, and the persister
would bring the document back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from aiohttp import web

from app.process.turn import Turn
from openwhisk.gateway import answers
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.upstream import Upstream, UpstreamError

_PAUSE = 0.1
"""Seconds between two checks whether a document is stored."""

_QUESTION = 1.0
"""Seconds that CouchDB has for the answer at least, however little patience is left."""

_TOGETHER = 1000
"""How many documents to ask about at once."""


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
        until = self._clock() + self._patience
        waiting = list(document_ids)
        while True:
            try:
                async with asyncio.timeout(max(until - self._clock(), _QUESTION)):
                    waiting = await self._not_stored(waiting, headers)
            except (UpstreamError, TimeoutError):
                pass  # it does not say, and takes the change as soon as it is back
            if not waiting:
                return
            if self._clock() >= until:
                raise NotStoredYet
            await asyncio.sleep(_PAUSE)

    async def all_stored(self, headers: Mapping[str, str]) -> None:
        """Wait until all documents that the persister may have yet to store by now are stored.

        Raises:
            NotStoredYet: not within `patience`.
            RefusedError: CouchDB refuses the credentials.
        """
        await self.stored({*self._recent, *self._on_the_wire}, headers)

    async def _not_stored(
        self, document_ids: Sequence[str], headers: Mapping[str, str]
    ) -> list[str]:
        """Those that the persister may have yet to store."""
        left: list[str] = []
        turn = Turn()
        for first in range(0, len(document_ids), _TOGETHER):
            some = [one for one in document_ids[first : first + _TOGETHER] if self.expect(one)]
            stored = await self._upstream.stored(some, headers) if some else frozenset()
            for one in stored:
                self._recent.forget(one)
            left += [
                one
                for one in some
                # That CouchDB has one that was also written to it proves nothing.
                if one not in stored or self._on_the_wire.is_written(one)
            ]
            if turn.over:
                await turn.pass_on()
        return left
