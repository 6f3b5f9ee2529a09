"""Kafka is away, and what answers in CouchDB's place says anything: no record counts as stored."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import FakeDatabase, FakeProducer, Running, document

SOON = 0.05


@pytest.fixture
async def gateway(start: StartGateway, producer: FakeProducer) -> AsyncIterator[Running]:
    producer.answering = False
    yield await start(publish_deadline=3 * SOON, fallback_after=SOON)
    producer.answering = True


def answer_with(
    database: FakeDatabase, write: bytes, read: bytes = b'{"rows":[]}', *, status: int = 201
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("_bulk_docs"):
            return web.Response(status=status, body=write, content_type="application/json")
        return web.Response(status=200, body=read, content_type="application/json")

    database.answer = answer


async def written(gateway: Running, how: str, fields: dict[str, Any]) -> int:
    one = how == "document"
    async with gateway.put_document(fields) if one else gateway.bulk_documents([fields]) as answer:
        await answer.read()
        return int(answer.status)


ENTRIES = {
    "a number": b"1",
    "an array": b"[]",
    "null": b"null",
    "nothing": b"{}",
    "an error that is no text": b'{"error":["x"]}',
    "an id that is no text": b'{"id":5,"error":"forbidden","reason":"no"}',
    "another document": b'{"ok":true,"id":"guest/another","rev":"1-a"}',
    "no revision": b'{"ok":true,"id":"ID"}',
    "a revision of two lines": b'{"ok":true,"id":"ID","rev":"1-a\\r\\nSet-Cookie: a=b"}',
    "a reason of many levels": b'{"error":"forbidden","reason":%b}'
    % (b"[" * 25_000 + b"]" * 25_000),
}


@pytest.mark.parametrize("how", ["document", "batch"])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
async def test_an_entry_that_is_not_couchdbs_stores_nothing(
    gateway: Running,
    database: FakeDatabase,
    caplog: pytest.LogCaptureFixture,
    how: str,
    entry: bytes,
) -> None:
    fields = document()
    answer_with(database, b"[%b]" % entry.replace(b"ID", fields["_id"].encode()))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await written(gateway, how, fields)
    # aiohttp's client sends a PUT a second time.
    told = [one for one in caplog.records if "has not stored" in one.getMessage()]
    assert len(told) == (2 if how == "document" else 1)
    assert not [one for one in caplog.records if one.exc_info]


@pytest.mark.parametrize(
    "rows",
    [
        b'{"rows":[]}',
        b'{"rows":[{"doc":null},{"doc":null}]}',
        b'{"rows":[{"doc":{"logs":[]}}]}',
        b'{"rows":[{"doc":{"_rev":["1-a"],"logs":[]}}]}',
        b"[]",
    ],
)
async def test_a_conflict_about_which_nothing_is_known_stores_nothing(
    gateway: Running, database: FakeDatabase, caplog: pytest.LogCaptureFixture, rows: bytes
) -> None:
    answer_with(database, b'[{"id":"x","error":"conflict","reason":"r"}]', rows)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await written(gateway, "batch", document())
    assert sum("has not stored" in one.getMessage() for one in caplog.records) == 1
    assert not [one for one in caplog.records if one.exc_info]


async def test_a_document_without_a_revision_is_none_to_add_logs_to(
    gateway: Running, database: FakeDatabase
) -> None:
    fields = document(logs=["a line"])
    stored = {**fields, "logs": []}
    rows = json.dumps({"rows": [{"doc": stored}]}).encode()
    answer_with(database, b'[{"id":"x","error":"conflict","reason":"r"}]', rows)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await written(gateway, "document", fields)


@pytest.mark.parametrize("status", [200, 302, 304])
async def test_an_answer_that_neither_writes_nor_refuses_is_not_passed_on(
    gateway: Running, database: FakeDatabase, status: int
) -> None:
    answer_with(database, b'{"ok":1}', status=status)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await written(gateway, "document", document())


async def test_a_conflict_that_could_not_be_looked_at_is_forgotten_once_it_is_written(
    gateway: Running, database: FakeDatabase
) -> None:
    fields = document()
    attempts = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal attempts
        if not request.path.endswith("_bulk_docs"):
            row = {"doc": {"_rev": "3-a"}}
            return web.json_response({"rows": [row]}, status=503 if attempts == 1 else 200)
        attempts += 1
        conflict = {"id": fields["_id"], "error": "conflict", "reason": "r"}
        stored = {"ok": True, "id": fields["_id"], "rev": "3-a"}
        return web.json_response([conflict if attempts == 1 else stored], status=201)

    database.answer = answer
    assert await written(gateway, "batch", fields) == 201
