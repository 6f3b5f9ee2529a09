"""Writes of activations: to Kafka what is taken, to CouchDB the rest, one answer for both."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import web

from openwhisk.gateway import answers
from openwhisk.gateway.bodies import Body
from openwhisk.gateway.counts import few_documents
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.records import Record, Taking, bulk_documents, without_repeated
from openwhisk.gateway.upstream import BulkAnswer, Upstream, UpstreamError
from openwhisk.publisher import NotAcknowledged, PublishError, TooLarge

_TURN = 512 * 1024
"""Bytes that are looked at before other requests get their turn."""

_COST = 4096
"""Bytes that a document of no length would count for."""


async def _documents(body: Body) -> list[bytes]:
    """The documents of a `_bulk_docs` body; none if all of it is CouchDB's business."""
    if not body.data or not few_documents(body.data):
        return []
    await asyncio.sleep(0)  # each look at a large body takes tens of milliseconds
    return bulk_documents(body.data) or []


class Publishes(Protocol):
    """The part of `Publisher` that is used here."""

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        """Publish many records; the error of each."""


class _Refused(Exception):  # noqa: N818
    """CouchDB refused its part of a request: its answer is the answer."""

    def __init__(self, answer: BulkAnswer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class Writes:
    """Carries out writes whose credentials are valid.

    Args:
        publisher: to Kafka.
        topic: of the records.
        upstream: for what is not taken.
        database: of the activations.
        taking: decides about documents.
        metrics: counts.
        clock: epoch seconds.
    """

    def __init__(
        self,
        publisher: Publishes,
        topic: str,
        *,
        upstream: Upstream,
        database: str,
        taking: Taking,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._upstream = upstream
        self._database = database
        self._taking = taking
        self._metrics = metrics
        self._clock = clock

    async def document(
        self, request: web.Request, body: Body, document_id: str
    ) -> web.StreamResponse:
        """Answer `PUT /<database>/<id>`."""
        record = body.data and self._taking.take(body.data, self._millis(), document_id)
        if not record:
            return await self._forward(request, body, "not-taken")
        try:
            (too_large,) = await self._publish([record])
        except NotAcknowledged as problem:
            return self._try_again(problem)
        if too_large:
            return await self._forward(request, body, "too-large")
        return answers.created(record, self._database, request)

    async def bulk(self, request: web.Request, body: Body) -> web.StreamResponse:
        """Answer `POST /<database>/_bulk_docs`.

        CouchDB's part goes first: when it refuses the request, nothing of it is written.
        """
        documents = await _documents(body)
        records = await self._take(documents)
        if not documents or not any(records):
            return await self._forward(request, body, "not-taken", max(1, len(documents)))
        entries = [answers.written(record) if record else b"" for record in records]
        others = [index for index, record in enumerate(records) if record is None]
        taken = [record for record in records if record]
        status = 201
        try:
            status = await self._rest(request, documents, others, entries, "not-taken")
            indices = [index for index, record in enumerate(records) if record]
            too_large = [
                index
                for index, late in zip(indices, await self._publish(taken), strict=True)
                if late
            ]
            status = max(
                status, await self._rest(request, documents, too_large, entries, "too-large")
            )
        except NotAcknowledged as problem:
            return self._try_again(problem)
        except UpstreamError as problem:
            return answers.no_answer(str(problem))
        except _Refused as refused:
            return answers.as_it_came(refused.answer.status, refused.answer.body)
        return answers.bulk(status, entries)

    async def _take(self, documents: Sequence[bytes]) -> list[Record | None]:
        records = []
        now = self._millis()
        looked_at = 0
        for document in documents:
            looked_at += len(document) + _COST
            if looked_at > _TURN:
                looked_at = 0
                await asyncio.sleep(0)
            records.append(self._taking.take(document, now))
        return without_repeated(documents, records)

    async def _publish(self, records: Sequence[Record]) -> list[bool]:
        """Publish all; whether each one is too large for Kafka instead.

        Raises:
            NotAcknowledged: of at least one it is not known that Kafka has it.
        """
        started = time.perf_counter()
        messages = [record.message for record in records]
        outcomes = await self._publisher.publish_all(self._topic, messages)
        self._metrics.publish_seconds.observe(time.perf_counter() - started)
        sizes = [
            len(message)
            for message, outcome in zip(messages, outcomes, strict=True)
            if outcome is None
        ]
        self._metrics.records.inc(len(sizes))
        self._metrics.record_bytes.inc(sum(sizes))
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, TooLarge):
                raise outcome
        return [outcome is not None for outcome in outcomes]

    async def _rest(
        self,
        request: web.Request,
        documents: Sequence[bytes],
        indices: Sequence[int],
        entries: list[bytes],
        reason: str,
    ) -> int:
        """Write some documents of a request to CouchDB and put its answers in their places."""
        if not indices:
            return 201
        self._metrics.forwarded.labels(reason).inc(len(indices))
        answer = await self._upstream.write([documents[i] for i in indices], request.headers)
        if answer.documents is None:
            raise _Refused(answer)
        for index, entry in zip(indices, answer.documents, strict=True):
            entries[index] = entry
        return answer.status

    async def _forward(
        self, request: web.Request, body: Body, reason: str, documents: int = 1
    ) -> web.StreamResponse:
        self._metrics.forwarded.labels(reason).inc(documents)
        return await self._upstream.forward(request, body.raw)

    def _try_again(self, problem: NotAcknowledged) -> web.Response:
        self._metrics.refused.labels("kafka").inc()
        return answers.try_again(f"not stored: {problem}")

    def _millis(self) -> int:
        return int(self._clock() * 1000)
