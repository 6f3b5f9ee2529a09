"""Writes of activations: what is taken is stored, the rest goes to CouchDB, one answer for both."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from openwhisk.gateway import answers, large
from openwhisk.gateway.aside import Aside
from openwhisk.gateway.bodies import Body
from openwhisk.gateway.counts import Document, few_documents, takes_long
from openwhisk.gateway.decoder import Decoder
from openwhisk.gateway.deleted import Deleted
from openwhisk.gateway.metrics import Forwarded, Metrics, Unanswered
from openwhisk.gateway.named import ids_in
from openwhisk.gateway.patience import when_connected
from openwhisk.gateway.reads import NotStoredYet, Reads
from openwhisk.gateway.records import (
    Record,
    Taking,
    bulk_documents,
    id_of,
    without_repeated,
)
from openwhisk.gateway.storing import NotStored, Refused, Storing
from openwhisk.gateway.targets import ANY, NOTHING, Change, Named
from openwhisk.gateway.turns import Steps, Turns, single
from openwhisk.gateway.upstream import UnreachableError, Upstream, UpstreamError

_Documents = Sequence[bytes | memoryview]

_OF_A_THREAD = 256 * 1024
"""Most bytes of a document that is read in a thread. Decoding a larger one holds the interpreter,
and with it the event loop, for so long that everybody would notice.
"""


def _documents(data: bytes | bytearray) -> Steps[_Documents]:
    """The documents of a `_bulk_docs` body; empty if all of it should go to CouchDB."""
    if len(data) > large.LARGE:
        return (yield from large.documents(data)) or []
    if not few_documents(data):
        return []
    yield
    return bulk_documents(data) or []


def _may_delete(document: bytes | bytearray | memoryview) -> bool:
    """Whether a document may be a tombstone."""
    if len(document) > large.LARGE:
        return True
    text = bytes(document)
    return b"_deleted" in text or b"\\u00" in text  # letters of the name may be escaped


class _UnknownIdError(Exception):
    """Which id a document has, if any, cannot be said."""


def _id_of(document: bytes | memoryview) -> Steps[str | None]:
    """The `_id` in a document, if any; raises `_UnknownIdError`."""
    try:
        if len(document) <= large.LARGE:
            try:
                return id_of(document)
            except RecursionError:
                yield  # CouchDB reads it, however deep it is
        return (yield from large.id_of(document))
    except ValueError as error:
        raise _UnknownIdError from error


@dataclass(slots=True)
class _Looked:
    """What was found in a `_bulk_docs` body.

    Attributes:
        documents: the documents in it.
        records: the accepted record of each, or None.
        ids: the id of each, if any.
        later: indexes of those that take long, which have neither yet.
    """

    documents: _Documents
    records: list[Record | None]
    ids: list[str | None]
    later: list[int]


class Writes:
    """Carries out writes whose credentials are valid.

    Args:
        storing: stores accepted records.
        upstream: CouchDB, for everything else.
        database: the name of the activations database.
        taking: decides about documents.
        decoder: decides about large ones.
        reads: knows which records are accepted and not stored yet.
        deleted: knows which documents were deleted.
        turns: does what takes a short time.
        metrics: counts.
        deadline: seconds to wait for CouchDB with what only it can store.
        clock: epoch seconds.
    """

    def __init__(
        self,
        storing: Storing,
        *,
        upstream: Upstream,
        database: str,
        taking: Taking,
        decoder: Decoder,
        reads: Reads,
        deleted: Deleted,
        turns: Turns,
        metrics: Metrics,
        deadline: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storing = storing
        self._upstream = upstream
        self._database = database
        self._taking = taking
        self._decoder = decoder
        self._reads = reads
        self._deleted = deleted
        self._turns = turns
        self._metrics = metrics
        self._deadline = deadline
        self._clock = clock
        self._in_thread = Aside("documents")
        """Reads what takes long."""
        self._in_process = Aside("large-documents")
        """Has what takes longer read in another process."""

    async def document(
        self, request: web.Request, body: Body, document_id: str, owner: str
    ) -> web.StreamResponse:
        """Answer `PUT /<database>/<id>`.

        Args:
            request: the client's request.
            body: its body.
            document_id: the id in the path.
            owner: who sends it, for fair turns.
        """
        record = None
        if body.data and document_id not in self._deleted:
            record = await self._take_one(body.data, owner, document_id)
        if not record:
            await self._reads.stored([document_id], request.headers)
            if body.raw and (body.data is None or _may_delete(body.data)):
                self._deleted.note(document_id, owner)
            return await self._forward(request, body, Forwarded.NOT_TAKEN)
        try:
            (entry,) = await self._storing.store([record], request.headers)
        except NotStored:
            return self._no_answer(request)
        except Refused as refused:
            return answers.as_it_came(refused.answer.status, refused.answer.body)
        if entry is None:
            return await self._forward(request, body, Forwarded.TOO_LARGE)
        return answers.document(entry, self._database, request)

    async def bulk(self, request: web.Request, body: Body, owner: str) -> web.StreamResponse:
        """Answer `POST /<database>/_bulk_docs`.

        CouchDB's part goes first, so that nothing is written if it refuses the request.

        Args:
            request: the client's request.
            body: its body.
            owner: who sends it, for fair turns.
        """
        try:
            documents, records, ids = await self._take(body.data, owner)
        except _UnknownIdError:
            # CouchDB refuses such a document, and all others with it, or else its id may be that of
            # another one, and CouchDB takes the first.
            documents, records, ids = [], [], []
        if not documents:
            self._metrics.forwarded.labels(Forwarded.NOT_TAKEN).inc()
            return await self.pass_on(request, body, Named.DOCS, owner)
        if not any(records):
            await self._reads.stored(filter(None, ids), request.headers)
            return await self._forward(request, body, Forwarded.NOT_TAKEN, len(documents))
        entries: list[bytes] = [b""] * len(documents)
        others = [index for index, record in enumerate(records) if record is None]
        status = 201
        try:
            named = [ids[index] for index in others]
            try:
                await self._reads.stored(filter(None, named), request.headers)
            except NotStoredYet:
                # The client sends all of them again; until it gives up, none of these is lost.
                await self._store(request, records, entries)
                raise
            status = await self._rest(request, documents, others, entries, Forwarded.NOT_TAKEN)
            too_large = await self._store(request, records, entries)
            status = max(
                status,
                await self._rest(request, documents, too_large, entries, Forwarded.TOO_LARGE),
            )
        except (NotStored, UpstreamError):
            return self._no_answer(request)
        except Refused as refused:
            return answers.as_it_came(refused.answer.status, refused.answer.body)
        return answers.bulk(status, entries)

    async def pass_on(
        self, request: web.Request, body: Body, named: Named, owner: str
    ) -> web.StreamResponse:
        """Pass a write through as it came, once all documents that it names are stored.

        Args:
            request: the client's request.
            body: its body.
            named: where the body names them.
            owner: who sends it, for fair turns.

        Raises:
            NotStoredYet: that takes too long.
        """
        ids: list[str] | None = []
        if body.raw:
            ids = None
            if body.data is not None:
                expect = partial(self._expect, owner)
                ids = await self._turns.run(owner, ids_in(body.data, named, expect))
            if ids is None:  # it may name any
                await self._reads.all_stored(request.headers, owner)
            else:
                await self._reads.stored(ids, request.headers)
        return await self._send(request, body, ANY if ids is None else NOTHING)

    def _expect(self, owner: str, document_id: str) -> bool:
        """Whether a document that may be deleted may be one that is not stored yet."""
        self._deleted.note(document_id, owner)
        return self._reads.expect(document_id)

    async def _take(
        self, data: bytes | bytearray | None, owner: str
    ) -> tuple[_Documents, list[Record | None], list[str | None]]:
        """The documents of a `_bulk_docs` body, the accepted records, and the ids.

        Raises:
            _UnknownIdError: which id a document has cannot be said.
        """
        if not data:
            return [], [], []
        now = self._millis()
        looked = await self._turns.run(owner, self._looked(data, now, owner))
        documents, records, ids = looked.documents, looked.records, looked.ids
        for index in looked.later:
            document = documents[index]
            record = await self._take_aside(document, now, owner)
            ids[index] = record.id if record else await self._turns.run(owner, _id_of(document))
            records[index] = self._unless_deleted(record, document, ids[index], owner)
        return documents, without_repeated(ids, records), ids

    def _looked(self, data: bytes | bytearray, now: int, owner: str) -> Steps[_Looked]:
        """What can be found without a thread; each document is a piece."""
        looked = _Looked((yield from _documents(data)), [], [], [])
        for index, document in enumerate(looked.documents):
            yield
            record = None
            if len(document) > self._taking.max_bytes:
                document_id = yield from _id_of(document)
            elif takes_long(document):
                document_id = None
                looked.later.append(index)
            else:
                record = self._taking.take(bytes(document), now)
                document_id = record.id if record else (yield from _id_of(document))
            looked.records.append(self._unless_deleted(record, document, document_id, owner))
            looked.ids.append(document_id)
        return looked

    def _unless_deleted(
        self,
        record: Record | None,
        document: bytes | memoryview,
        document_id: str | None,
        owner: str,
    ) -> Record | None:
        """The accepted record, unless its document was deleted before."""
        if document_id is None:
            return record
        if record is None and _may_delete(document):
            self._deleted.note(document_id, owner)
        return None if document_id in self._deleted else record

    async def _take_one(
        self, document: bytes | bytearray, owner: str, path_id: str
    ) -> Record | None:
        """The record in the document of a PUT, if it is accepted."""
        if len(document) > self._taking.max_bytes:
            return None
        now = self._millis()
        if takes_long(document):
            return await self._take_aside(document, now, owner, path_id)
        return await self._turns.run(
            owner, single(self._taking.take, bytes(document), now, path_id)
        )

    async def _take_aside(
        self, document: Document, now: int, owner: str, path_id: str | None = None
    ) -> Record | None:
        """The record in a document that takes long, if it is accepted."""
        if len(document) > _OF_A_THREAD:
            return await self._in_process.run(owner, self._decoder.take, document, now, path_id)
        # While it waits, only the body is kept, whose bytes are counted; no copy.
        return await self._in_thread.run(
            owner, lambda: self._taking.take(bytes(document), now, path_id)
        )

    async def _store(
        self, request: web.Request, records: Sequence[Record | None], entries: list[bytes]
    ) -> list[int]:
        """Store accepted records and fill in their entries; returns indexes of too large ones."""
        indices = [index for index, record in enumerate(records) if record]
        taken = [record for record in records if record]
        stored = await self._storing.store(taken, request.headers)
        too_large = []
        for index, entry in zip(indices, stored, strict=True):
            if entry is None:
                too_large.append(index)
            else:
                entries[index] = entry
        return too_large

    async def _rest(
        self,
        request: web.Request,
        documents: Sequence[bytes | memoryview],
        indices: Sequence[int],
        entries: list[bytes],
        reason: Forwarded,
    ) -> int:
        """Write some documents to CouchDB and fill in its entries; returns the status."""
        if not indices:
            return 201
        self._metrics.forwarded.labels(reason).inc(len(indices))
        rest = [documents[i] for i in indices]
        answer = await when_connected(
            lambda: self._upstream.write(rest, request.headers), self._until()
        )
        if answer.documents is None:
            raise Refused(answer)
        for index, entry in zip(indices, answer.documents, strict=True):
            entries[index] = entry
        return answer.status

    async def _forward(
        self, request: web.Request, body: Body, reason: Forwarded, documents: int = 1
    ) -> web.StreamResponse:
        self._metrics.forwarded.labels(reason).inc(documents)
        return await self._send(request, body)

    async def _send(
        self, request: web.Request, body: Body, change: Change = NOTHING
    ) -> web.StreamResponse:
        """CouchDB's answer to a request, which may delete documents that are not known by name."""
        answer = when_connected(lambda: self._upstream.forward(request, body.raw), self._until())
        try:
            return await self._deleted.changing(change, answer)
        except UnreachableError:
            return self._no_answer(request)

    def _until(self) -> float:
        return time.monotonic() + self._deadline

    def _no_answer(self, request: web.Request) -> web.Response:
        self._metrics.refused.labels(Unanswered.NOT_STORED).inc()
        return answers.none(request)

    def _millis(self) -> int:
        return int(self._clock() * 1000)
