"""A server that sends more than it was asked for is left, whoever asked it."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from app.couchdb.database import connected
from app.couchdb.errors import Unavailable
from app.process.unasked import MOST_INTERIM, Connector, UnaskedError
from app.settings import DatabaseSettings
from openwhisk.gateway.credentials import Verdict
from openwhisk.gateway.upstream import Upstream
from tests.fakes.harmful import HarmfulServer
from tests.support import longest_turn

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FLOODS = {
    "interim answers": (b"", b"HTTP/1.1 103 x\r\n\r\n" * 10_000),
    "long interim answers": (
        b"",
        b"HTTP/1.1 103 x\r\n%b\r\n" % (b"A: %b\r\n" % (b"b" * 8000) * 90),
    ),
    "answers": (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", OK * 10_000),
}


@pytest.fixture
def server() -> Iterator[HarmfulServer]:
    running = HarmfulServer()
    yield running
    running.close()


@pytest.fixture
async def http(server: HarmfulServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{server.port}", connector=Connector()
    ) as session:
        yield session


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_a_flood_of_answers_holds_nobody_up(
    server: HarmfulServer, http: aiohttp.ClientSession, flood: tuple[bytes, bytes]
) -> None:
    server.answer = flood

    async def ask() -> None:
        for _ in range(3):
            with contextlib.suppress(UnaskedError):
                await (await http.get("/")).read()
            await asyncio.sleep(0.05)

    tracemalloc.start()
    try:
        async with asyncio.timeout(30):
            assert await longest_turn(asyncio.create_task(ask())) < 0.3
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


async def test_some_interim_answers_change_nothing(
    server: HarmfulServer, http: aiohttp.ClientSession
) -> None:
    body = b"x" * 500_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    server.answer = (EARLY * MOST_INTERIM + head + body, b"")
    for _ in range(2):
        async with http.get("/") as answer:
            assert (answer.status, await answer.read()) == (200, body)
    server.answer = (EARLY * 200 + OK, b"")
    with pytest.raises(UnaskedError, match="interim"):
        await http.get("/")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "beginning, flood",
    [(b"1;", b"a" * 65_536), (b"", b"0" * 65_536), (b"1", b";a=b" * 16_384)],
    ids=["an extension", "zeros", "extensions"],
)
async def test_the_frame_of_a_chunk_has_an_end(
    server: HarmfulServer, http: aiohttp.ClientSession, beginning: bytes, flood: bytes
) -> None:
    server.answer = (CHUNKED + beginning, flood)
    async with asyncio.timeout(30):
        async with http.get("/") as answer:
            with pytest.raises(UnaskedError, match="frames"):
                await answer.read()


async def test_chunks_of_a_byte_are_read(
    server: HarmfulServer, http: aiohttp.ClientSession
) -> None:
    server.answer = (CHUNKED + b"1\r\nx\r\n" * 500_000 + b"0\r\n\r\n", b"")
    async with asyncio.timeout(30), http.get("/") as answer:
        assert len(await answer.read()) == 500_000


async def test_the_worker_says_what_floods_it(server: HarmfulServer) -> None:
    server.answer = FLOODS["interim answers"]
    settings = DatabaseSettings.model_validate(
        {"PERSISTER_COUCHDB_URL": f"http://127.0.0.1:{server.port}"}
    )
    async with connected(settings) as database:
        with pytest.raises(Unavailable, match="interim") as error:
            await database.info()
    assert error.value.cause == "cut"


async def test_the_gateway_takes_a_flood_for_no_answer(server: HarmfulServer) -> None:
    server.answer = FLOODS["interim answers"]
    upstream = Upstream(f"http://127.0.0.1:{server.port}", "whisk", connect_timeout=5)
    try:
        judgement = await upstream.ask({"Authorization": "Basic YTpi"}, "192.0.2.1")
        assert judgement.verdict is Verdict.UNREACHABLE
        assert not await upstream.reachable()
    finally:
        await upstream.close()
