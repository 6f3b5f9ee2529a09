"""The CouchDB stand-in refuses what a real CouchDB 3.5 refuses, and writes nothing then."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from dev.couchdb import CouchDB, couchdb

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def standin() -> Any:
    with couchdb(max_document_size=10_000) as running:
        yield running


@pytest.fixture
async def http(standin: CouchDB, prefix: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"{standin.url}/{prefix}db/") as session:
        async with session.put("") as created:
            assert created.status == 201
        yield session


async def bulk(
    http: aiohttp.ClientSession, body: bytes, **headers: str
) -> tuple[int, dict[str, str] | list[dict[str, Any]]]:
    async with http.post("_bulk_docs", data=body, headers=JSON | headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def ids(http: aiohttp.ClientSession) -> list[str]:
    async with http.get("_all_docs") as answer:
        return [row["id"] for row in (await answer.json(content_type=None))["rows"]]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(rb'{"_id":"b","s":"\ud800"}', id="lone high surrogate"),
        pytest.param(rb'{"_id":"b","s":["x\uDFFF"]}', id="lone low surrogate, nested"),
        pytest.param(rb'{"_id":"b","\ud800":1}', id="lone surrogate in a key"),
        pytest.param(b'{"_id":"b","n":1e400}', id="number out of range"),
        pytest.param(b'{"_id":"b","n":{"m":[-12.5E+308]}}', id="negative, nested"),
        pytest.param(b'{"_id":"b","s":"\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"_id":"b"', id="cut off"),
    ],
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_value_that_cannot_be_represented_condemns_the_request(
    http: aiohttp.ClientSession, bad: bytes, encoding: str
) -> None:
    body = b'{"docs":[{"_id":"good"},%s]}' % bad
    if encoding == "gzip":
        body = gzip.compress(body)
    headers = {"Content-Encoding": encoding}
    assert await bulk(http, body, **headers) == (
        400,
        {"error": "bad_request", "reason": "invalid UTF-8 JSON"},
    )
    assert await ids(http) == []


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(rb'{"_id":"a","s":"\ud83d\ude00"}', id="a surrogate pair"),
        pytest.param(b'{"_id":"a","n":1e308}', id="the largest power of ten"),
        pytest.param(b'{"_id":"a","n":1e-400}', id="too small is zero"),
        pytest.param(b'{"_id":"a","n":%s}' % (b"9" * 400), id="an integer of 400 digits"),
        pytest.param(b'{"_id":"a","s":": 1e400, \\\\ud800"}', id="the same only as text"),
        pytest.param(rb'{"_id":"a","s":"\u0000"}', id="NUL"),
    ],
)
async def test_what_looks_like_it_but_is_legal_is_written(
    http: aiohttp.ClientSession, good: bytes
) -> None:
    status, _ = await bulk(http, b'{"docs":[%s]}' % good)
    assert status == 201
    assert await ids(http) == ["a"]


@pytest.mark.parametrize(
    "bad, error",
    [
        ({"_id": "_bad"}, "illegal_docid"),
        ({"_id": "_design"}, "illegal_docid"),
        ({"_id": ""}, "illegal_docid"),
        ({"_id": 5}, "illegal_docid"),
        ({"_id": "b", "_foo": 1}, "doc_validation"),
        ("text", "bad_request"),
    ],
)
async def test_a_document_that_may_not_be_stored_condemns_the_request(
    http: aiohttp.ClientSession, bad: object, error: str
) -> None:
    body = json.dumps({"docs": [{"_id": "good"}, bad]}).encode()
    status, answer = await bulk(http, body)
    assert (status, answer["error"]) == (400, error)  # type: ignore[call-overload]
    assert await ids(http) == []


async def test_a_document_over_the_limit_is_named(http: aiohttp.ClientSession) -> None:
    body = json.dumps({"docs": [{"_id": "good"}, {"_id": "big", "s": "x" * 10_000}]}).encode()
    assert await bulk(http, body) == (413, {"error": "document_too_large", "reason": "big"})
    assert await ids(http) == []


async def test_bulk_writes_conflicts_and_deletes_go_through(http: aiohttp.ClientSession) -> None:
    _, first = await bulk(http, b'{"docs":[{"_id":"a"},{"_id":"b"},{"_id":"a"}]}')
    assert [entry.get("error") for entry in first] == [None, None, "conflict"]  # type: ignore[union-attr]
    delete = {"_id": "a", "_rev": first[0]["rev"], "_deleted": True}  # type: ignore[index]
    status, _ = await bulk(http, json.dumps({"docs": [delete]}).encode())
    assert status == 201
    assert await ids(http) == ["b"]


async def test_a_single_document_is_checked_too(http: aiohttp.ClientSession) -> None:
    async with http.put("a", json={"_foo": 1}) as answer:
        assert answer.status == 400
    async with http.post("", json={"_id": "_bad"}) as answer:
        assert answer.status == 400
    async with http.put("a", data=b'{"n":1e400}', headers=JSON) as answer:
        assert answer.status == 400
    assert await ids(http) == []


@pytest.mark.parametrize(
    "source, status",
    [
        ("function (doc) { emit(doc.v, 1); }", 201),
        ("function (doc) { emit(doc.v, 1); };", 201),
        ("(doc) => { emit(doc.v, 1); }", 201),
        ("function (doc) {", 400),
    ],
)
async def test_a_view_must_compile(http: aiohttp.ClientSession, source: str, status: int) -> None:
    design = {"views": {"v": {"map": source}}}
    async with http.put("_design/x", json=design) as answer:
        assert answer.status == status
        if status == 400:
            assert (await answer.json(content_type=None))["error"] == "compilation_error"


async def test_without_the_password_nothing_is_answered(standin: CouchDB) -> None:
    url = f"http://127.0.0.1:{standin.port}/_all_dbs"
    async with aiohttp.ClientSession() as anonymous, anonymous.get(url) as answer:
        assert answer.status == 401


async def test_what_was_written_survives_a_kill(
    standin: CouchDB, http: aiohttp.ClientSession
) -> None:
    await bulk(http, b'{"docs":[{"_id":"a"}]}')
    standin.kill()
    standin.start()
    assert await ids(http) == ["a"]
