"""Spans, sent by OpenTelemetry's exporter (OTLP over HTTP), which OTEL_* variables configure."""

import asyncio
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from app.process.seldom import Seldom
from app.tracing.spans import CHUNK, CHUNKS, Sent, Traced, Tracing
from app.tracing.traceparent import NAME, header_of, parents
from app.version import VERSION

LINKS = 128
"""Of a span, as many as OpenTelemetry keeps by default."""

LAST_SECONDS = 2.0
"""For sending the remaining spans when the worker stops."""

_FAILED = 400
"""HTTP status from which on an answer is an error."""


def exporting(app_id: str, worker: str | None) -> Tracing:
    """Spans that are sent in the background, by a thread of their own."""
    given = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or app_id,
        "service.version": VERSION,
        "service.instance.id": worker or str(os.getpid()),
    }
    provider = TracerProvider(resource=Resource.create(given), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # A collector that is away is worth a line now and then.
    for name in (OTLPSpanExporter.__module__, BatchSpanProcessor.__module__):
        logging.getLogger(name).addFilter(Seldom())
    return Spans(provider)


class Spans(Tracing):
    """Traces with OpenTelemetry.

    Args:
        provider: makes the spans, and sends them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("activation-persister", VERSION)

    @contextmanager
    def chunk(self, step: str, chunk: Traced) -> Iterator[object]:
        """A span, linked to the traces that the chunk's records belong to."""
        span = self._tracer.start_span(
            f"{step} {chunk.tp.topic}",
            # What runs already is nothing that the chunk belongs to.
            context=Context(),
            kind=SpanKind.CONSUMER,
            links=[Link(_remote(*one)) for one in parents(chunk.records, LINKS)],
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": step,
                "messaging.destination.name": chunk.tp.topic,
                "messaging.destination.partition.id": str(chunk.tp.partition),
                "messaging.kafka.offset": chunk.first_offset,
                "messaging.batch.message_count": chunk.count,
            },
        )
        before = CHUNK.set(span)
        try:
            with trace.use_span(span, end_on_exit=True):
                yield span
        finally:
            CHUNK.reset(before)

    def carry(self, sources: Iterable[Any], sent: Iterable[Sent]) -> None:
        """Pass on a record's own trace; where it has none, that of the step which sends it."""
        span = CHUNK.get()
        ours = _header(span.get_span_context()) if span else None
        for source, record in zip(sources, sent, strict=True):
            value = header_of(source) or ours
            if value:
                record.headers = [*record.headers, (NAME, value)]

    def of_requests(self) -> list[aiohttp.TraceConfig]:
        """A span for each request, linked to the chunks whose documents it carries."""
        traced = aiohttp.TraceConfig()
        traced.on_request_start.append(self._began)
        traced.on_request_end.append(self._ended)
        traced.on_request_exception.append(self._failed)
        return [traced]

    async def close(self) -> None:
        """Send the remaining spans; a silent collector keeps no worker from stopping."""
        # Its own deadlines are longer, and a daemon ends with the process.
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        await asyncio.to_thread(last.join, LAST_SECONDS)

    async def _began(
        self,
        _session: aiohttp.ClientSession,
        kept: SimpleNamespace,
        request: aiohttp.TraceRequestStartParams,
    ) -> None:
        kept.span = self._tracer.start_span(
            f"{request.method} {_what(request.url.path)}",
            context=Context(),
            kind=SpanKind.CLIENT,
            links=[Link(span.get_span_context()) for span in CHUNKS.get()[:LINKS] if span],
            attributes={
                "db.system.name": "couchdb",
                "http.request.method": request.method,
                "server.address": request.url.host or "",
                "server.port": request.url.port or 0,
                "url.path": request.url.path,
            },
        )
        request.headers[NAME] = _header(kept.span.get_span_context()).decode()

    async def _ended(
        self,
        _session: aiohttp.ClientSession,
        kept: SimpleNamespace,
        answer: aiohttp.TraceRequestEndParams,
    ) -> None:
        kept.span.set_attribute("http.response.status_code", answer.response.status)
        if answer.response.status >= _FAILED:
            kept.span.set_status(Status(StatusCode.ERROR))
        kept.span.end()

    async def _failed(
        self,
        _session: aiohttp.ClientSession,
        kept: SimpleNamespace,
        failure: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        kept.span.set_attribute("error.type", type(failure.exception).__name__)
        kept.span.set_status(Status(StatusCode.ERROR))
        kept.span.end()


def _remote(trace_id: int, span_id: int, flags: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))


def _header(context: SpanContext) -> bytes:
    return (
        f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    ).encode()


def _what(path: str) -> str:
    """The last part of a path that names a kind of request, and no document."""
    last = path.rpartition("/")[2]
    return last if last.startswith("_") else "document or database"
