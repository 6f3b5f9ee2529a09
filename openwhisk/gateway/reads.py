"""Read-your-writes: serves records that were accepted and are not stored yet.

CouchDB is always asked first: it decides who may read, and its answer is authoritative. Only for a
document that it does not have yet does the gateway answer from memory. Any change of such a
document that goes to CouchDB waits until the persister has stored it, and is not answered if that
takes too long: CouchDB takes some deletions of a document that it does not have, and the persister
would bring the document back.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from aiohttp import web

from openwhisk.gateway import answers
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.upstream import Upstream, UpstreamError

_PAUSE = 0.1
"""Seconds between two checks whether a document is stored."""


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
        """The answer to `GET` or `HEAD` of a document; None if CouchDB has it."""
        record = self._recent.get(document_id)
        if record is None:
            return None
        missing, said = await self._missing(document_id, request.headers)
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
        """Wait until the persister has stored recently accepted ones.

        Raises:
            NotStoredYet: not within `patience`.
        """
        until = self._clock() + self._patience
        for document_id in document_ids:
            if self._on_the_wire.is_written(document_id):
                # Raises if it refuses the credentials: who is a stranger to CouchDB is not to learn
                # which documents are on the wire.
                await self._missing(document_id, headers)
            while await self._awaited(document_id, headers):
                if self._clock() >= until:
                    raise NotStoredYet
                await asyncio.sleep(_PAUSE)

    async def all_stored(self) -> None:
        """Wait until there is no document that the persister may have yet to store.

        Raises:
            NotStoredYet: not within `patience`.
        """
        until = self._clock() + self._patience
        while self.expect_any:
            if self._clock() >= until:
                raise NotStoredYet
            await asyncio.sleep(_PAUSE)

    async def _awaited(self, document_id: str, headers: Mapping[str, str]) -> bool:
        """Whether the persister has yet to store a document."""
        if self._on_the_wire.is_written(document_id):
            return True  # that CouchDB has it proves nothing
        return self.expect(document_id) and (await self._missing(document_id, headers))[0]

    async def _missing(
        self, document_id: str, headers: Mapping[str, str]
    ) -> tuple[bool, Mapping[str, str]]:
        """Whether CouchDB lacks a document, and what it says to the client in headers.

        Forgets the documents that it has.
        """
        try:
            missing, said = await self._upstream.missing(document_id, headers)
        except UpstreamError:
            return False, {}
        if missing is False:
            self._recent.forget(document_id)
        return bool(missing), said
