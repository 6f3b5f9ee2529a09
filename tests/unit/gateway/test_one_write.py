"""Errors and small answers leave the gateway in one piece, as they leave CouchDB."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from tests.openwhisk_client import Answer, OpenWhiskClient
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import DATABASE, FakeDatabase, document, encoded

ANSWERS = 300
SMALL = 64 * 1024


@pytest.fixture
async def client(start: StartGateway) -> AsyncIterator[OpenWhiskClient]:
    running = await start()
    made = OpenWhiskClient(
        running.url.replace("//", "//whisk:secret@"), DATABASE, connections=8, silence=5
    )
    yield made
    made.close()


async def in_two_pieces(request: web.Request, status: int, *body: bytes) -> web.StreamResponse:
    """An answer whose head, and each part of whose body, is sent by itself."""
    response = web.StreamResponse(status=status)
    await response.prepare(request)
    response._payload_writer.send_headers()  # type: ignore[union-attr]
    for part in body:
        await asyncio.sleep(0)
        await response.write(part)
    return response


@pytest.mark.parametrize("status", [401, 404, 409, 412, 500])
async def test_an_error_is_one_segment_however_it_came(
    client: OpenWhiskClient, database: FakeDatabase, status: int
) -> None:
    async def error(request: web.Request) -> web.StreamResponse:
        return await in_two_pieces(request, status, b'{"error":"a",', b'"reason":"b"}')

    database.answer = error
    answers = await asyncio.gather(*(client.get(f"guest/{n}") for n in range(ANSWERS)))
    assert [(answer.status, answer.segments) for answer in answers] == [(status, 1)] * ANSWERS
    assert {answer.body for answer in answers} == {b'{"error":"a","reason":"b"}'}


async def test_wrong_credentials_are_answered_in_one_segment(
    start: StartGateway,
) -> None:
    running = await start()
    stranger = OpenWhiskClient(running.url, DATABASE, connections=4, silence=5)
    answers = [await stranger.put(document()) for _ in range(ANSWERS)]
    stranger.close()
    assert [(answer.status, answer.segments) for answer in answers] == [(401, 1)] * ANSWERS


async def test_what_the_gateway_answers_itself_is_one_segment(client: OpenWhiskClient) -> None:
    answers = [await client.put(document()) for _ in range(ANSWERS)]
    assert [(answer.status, answer.segments) for answer in answers] == [(201, 1)] * ANSWERS
    batch = encoded({"docs": [document() for _ in range(200)]})
    answer = await client.request("POST", f"/{DATABASE}/_bulk_docs", batch)
    assert (answer.status, answer.segments) == (201, 1)


async def test_under_load_an_error_is_one_segment_too(
    client: OpenWhiskClient, database: FakeDatabase
) -> None:
    large = b"x" * 1_000_000

    async def mixed(request: web.Request) -> web.StreamResponse:
        if request.raw_path.endswith("large"):
            return web.Response(body=large)
        return await in_two_pieces(request, 404, b'{"error":"not_found","reason":"missing"}')

    database.answer = mixed

    async def download() -> Answer:
        return await client.request("GET", f"/{DATABASE}/large")

    found = await asyncio.gather(
        *(download() for _ in range(20)), *(client.get(f"guest/{n}") for n in range(ANSWERS))
    )
    assert all(answer.body == large for answer in found[:20])
    assert {answer.segments for answer in found[20:]} == {1}


async def test_every_refusal_that_openwhisk_meets_is_one_segment(
    start: StartGateway, database: FakeDatabase
) -> None:
    running = await start()
    stored = document()
    database.write(stored)

    async def split(request: web.Request) -> web.StreamResponse:
        answer = await database.couchdb.answer(request)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        return await in_two_pieces(request, answer.status, answer.body[:9], answer.body[9:])

    database.answer = split
    whisk = OpenWhiskClient(running.url.replace("//", "//whisk:secret@"), DATABASE, connections=8)
    stranger = OpenWhiskClient(running.url.replace("//", "//whisk:wrong@"), DATABASE)
    asked: dict[tuple[str, int], Callable[[], Awaitable[Answer]]] = {
        ("missing", 404): lambda: whisk.get(document()["_id"]),
        ("delete of what is missing", 404): lambda: whisk.delete(document()["_id"], "1-a"),
        ("delete of an old revision", 409): lambda: whisk.delete(stored["_id"], "1-a"),
        ("change of an old revision", 409): lambda: whisk.put(stored, "1-a"),
        ("wrong password", 401): lambda: stranger.get(stored["_id"]),
    }
    for (_, status), ask in asked.items():
        answers = await asyncio.gather(*(ask() for _ in range(ANSWERS)))
        assert [(answer.status, answer.segments) for answer in answers] == [(status, 1)] * ANSWERS
    whisk.close()
    stranger.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_small_success_is_one_segment(
    client: OpenWhiskClient, database: FakeDatabase, *, chunked: bool
) -> None:
    async def small(request: web.Request) -> web.StreamResponse:
        if chunked:
            return await in_two_pieces(request, 200, b"a" * 1000, b"b" * 1000)
        return web.Response(body=b"a" * 1000 + b"b" * 1000)

    database.answer = small
    answer = await client.get("guest/a")
    assert (answer.status, answer.segments) == (200, 1)
    assert answer.body == b"a" * 1000 + b"b" * 1000


@pytest.mark.parametrize("size", [SMALL, SMALL + 1, 20 * SMALL])
async def test_a_large_success_arrives_whole(
    client: OpenWhiskClient, database: FakeDatabase, size: int
) -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        return await in_two_pieces(request, 200, b"a" * (size - 1), b"b")

    database.answer = large
    assert (await client.get("guest/a")).body == b"a" * (size - 1) + b"b"
