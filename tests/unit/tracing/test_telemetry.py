"""Spans of chunks and of requests, and how they are linked; and that nothing of it costs anything
while it is off."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from faust.types import TP

from app.couchdb import BulkWriter, Database
from app.dead_letters import DeadLetters
from app.kafka.delivery import Chunk
from app.monitoring.outcomes import Outcomes
from app.routing.breaker import Breakers
from app.routing.step import RoutingStep
from app.settings import (
    BreakerSettings,
    DatabaseSettings,
    DiagnosisSettings,
    RoutingSettings,
    SettingsError,
    load,
)
from app.storing.sink import Document
from app.tracing import Tracing
from models.roles import TopicRole
from tests.fakes.couchdb import FakeCouchDB
from tests.integration.support.records import Records, result
from tests.support import Producer, record

pytest.importorskip("opentelemetry.sdk", reason="the extra `tracing` is not installed")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

from app.tracing import telemetry
from app.tracing.telemetry import Spans

PROJECT = Path(__file__).parents[3]
TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
PARENT = f"00-{TRACE:032x}-{SPAN:016x}-01".encode()


class Traced:
    """Spans in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Spans(provider)

    def ended(self) -> Sequence[Any]:
        spans: Sequence[Any] = self.exporter.get_finished_spans()
        return spans


@pytest.fixture
def traced() -> Traced:
    return Traced()


def routing(tracing: Tracing, producer: Producer) -> RoutingStep:
    return RoutingStep(
        RoutingSettings(),
        cast("Any", producer),
        "documents",
        DeadLetters(cast("Any", producer), "letters"),
        Outcomes(),
        breakers=Breakers(BreakerSettings()),
        tracing=tracing,
    )


def messages() -> Chunk:
    """Two records, the first of which belongs to a trace of OpenWhisk's."""
    one, other = (result(fields) for fields in Records(7).many(2))
    records = [record(one, 5, headers=[("traceparent", PARENT)]), record(other, 6)]
    return Chunk(TP("completed0", 0), records)


async def test_a_chunk_is_a_span_that_is_linked_to_the_traces_of_its_records(
    traced: Traced,
) -> None:
    producer = Producer()
    await routing(traced.tracing, producer).take(messages(), TopicRole.COMPLETED)
    (span,) = traced.ended()
    assert (span.name, span.parent) == ("route completed0", None)
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [(TRACE, SPAN)]
    assert span.attributes["messaging.kafka.offset"] == 5
    assert span.attributes["messaging.batch.message_count"] == 2

    # The next step is linked to the same trace, and else to this span.
    carried = [dict(one.headers)["traceparent"] for one in producer.sent["documents"]]
    ours = span.context
    assert carried[0] == PARENT
    assert carried[1] is not None
    assert carried[1].startswith(f"00-{ours.trace_id:032x}-{ours.span_id:016x}-".encode())


async def test_what_fails_is_said_in_its_span(traced: Traced) -> None:
    producer = Producer()
    producer.error = OSError("Kafka is away")
    with pytest.raises(OSError, match="Kafka"):
        await routing(traced.tracing, producer).take(messages(), TopicRole.COMPLETED)
    (span,) = traced.ended()
    assert not span.status.is_ok
    assert span.events[0].attributes["exception.message"] == "Kafka is away"


async def test_a_request_is_linked_to_every_chunk_whose_documents_it_carries(
    traced: Traced,
) -> None:
    couchdb = FakeCouchDB()
    await couchdb.start()
    settings = DatabaseSettings(url=couchdb.url, name="activations")
    writer = BulkWriter(Database(settings, traced.tracing), settings, DiagnosisSettings())
    await writer.start()

    async def store(number: int) -> None:
        chunk = Chunk(TP("documents", number), [record(b"{}")])
        with traced.tracing.chunk("store", chunk):
            document = b'{"_id":"guest/%d"}' % number
            await writer.write([Document(f"guest/{number}", document)])

    try:
        await asyncio.gather(store(1), store(2))
    finally:
        await writer.stop()
        await couchdb.stop()
    bulk = [one for one in traced.ended() if one.name == "POST _bulk_docs"]
    chunks = {one.context.span_id for one in traced.ended() if one.name == "store documents"}
    linked = {link.context.span_id for one in bulk for link in one.links}
    assert linked == chunks
    assert len(chunks) == 2
    assert {one.attributes["http.response.status_code"] for one in bulk} == {201}
    preparing = next(one for one in traced.ended() if one.name != "POST _bulk_docs")
    assert not preparing.links


async def test_a_database_that_is_not_there_is_an_error_of_its_span(traced: Traced) -> None:
    settings = DatabaseSettings(url="http://127.0.0.1:1", name="activations")
    database = Database(settings, traced.tracing)
    await database.connect()
    with pytest.raises(Exception, match=r"127\.0\.0\.1, port 1"):
        await database.info()
    await database.close()
    spans = traced.ended()
    assert spans
    assert all(not one.status.is_ok and one.attributes["error.type"] for one in spans)


async def test_a_collector_that_does_not_answer_keeps_no_worker_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "LAST_SECONDS", 0.1)
    stuck = threading.Event()

    class Provider(TracerProvider):  # type: ignore[misc]
        def shutdown(self) -> None:
            stuck.wait()

    await asyncio.wait_for(Spans(Provider(shutdown_on_exit=False)).close(), timeout=5)
    stuck.set()


def test_nothing_is_imported_while_it_is_off() -> None:
    look = (
        "import sys; from app.application import create_app; from app.settings import load; "
        "create_app(load()); "
        "sys.exit(any(name.partition('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", look], cwd=PROJECT, check=True, timeout=60)  # noqa: S603


def test_without_the_extra_the_setting_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PERSISTER_TRACING", "true")
    assert load().worker.tracing
    monkeypatch.setattr("app.settings.worker.installed", lambda: False)
    with pytest.raises(SettingsError, match=r"PERSISTER_TRACING=.*pip install"):
        load()
