"""Nothing of one request shows in the next one on its connection, over real sockets."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from app.process.connections import BoundedSite, Connections

PATIENCE = 30
"""Seconds after which something is said not to happen at all."""

CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"
GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

CHUNKS = {
    "no trailer": "2\r\n{}\r\n0\r\n\r\n",
    "one": "2\r\n{}\r\n0\r\nX-Foreign: a\r\n\r\n",
    "several": "2\r\n{}\r\n0\r\nX-Foreign: a\r\nCookie: a\r\nAuthorization: a\r\n\r\n",
    "without a body": "0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
    "an empty one": "0\r\nX-Foreign:\r\n\r\n",
    "the encoding": "0\r\nContent-Encoding: gzip\r\n\r\n",
    "the encoding before another": "0\r\nContent-Encoding: gzip\r\nX-Foreign: a\r\n\r\n",
    "another protocol": "0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a length": "0\r\nContent-Length: 50\r\n\r\n",
    "another host": "0\r\nHost: evil\r\n\r\n",
    "an extension": '2;a="b"\r\n{}\r\n0;c=d\r\nX-Foreign: a\r\n\r\n',
    "long": f"0\r\nX-Foreign: {'a' * 8000}\r\n\r\n",
    "too long": f"0\r\nX-Foreign: {'a' * 80_000}\r\n\r\n",
    "too many": "0\r\n" + "X-Foreign: a\r\n" * 5000 + "\r\n",
    "no colon": "0\r\nX-Foreign\r\n\r\n",
    "folded": "0\r\nX-Foreign: a\r\n b\r\n\r\n",
    "a bare line feed": "0\r\nX-Foreign: a\n\r\n",
    "a zero byte": "0\r\nX-Foreign: \x00\r\n\r\n",
    "ends of a request in its chunks": "8\r\n\r\n\r\n\r\n\r\n\r\n0\r\nX-Foreign: a\r\n\r\n",
    "very many chunks": "1\r\na\r\n" * 5000 + "0\r\nX-Foreign: a\r\n\r\n",
}
"""Chunked bodies, by the trailers behind them."""


Head = tuple[str, tuple[str, ...]]
"""Path and headers of a request, as they came."""


@dataclass
class Server:
    """Answers each request once its body is there, and keeps the heads in order."""

    port: int = 0
    seen: list[Head] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        raw = request.raw_headers
        self.seen.append((request.path, tuple(f"{n.decode()}: {v.decode()}" for n, v in raw)))
        await request.read()
        return web.Response()

    async def answers(self, *pieces: str) -> bytes:
        """What the server answers to these pieces until it closes the connection.

        Each piece is sent when an answer to the ones before has come.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        told = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                for piece in pieces:
                    writer.write(piece.encode())
                    await writer.drain()
                    told += await reader.read(65_536)
                while read := await reader.read(65_536):
                    told += read
        writer.close()
        return told


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", running.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = BoundedSite(runner, "127.0.0.1", 0, Connections(100))
    await site.start()
    running.port = site.port
    yield running
    await runner.cleanup()


@pytest.mark.parametrize("later", [False, True], ids=["same-piece", "later"])
@pytest.mark.parametrize("announced", ["", "Trailer: X-Foreign\r\n"], ids=["", "announced"])
@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS)
async def test_nothing_behind_chunks_shows_in_another_request(
    server: Server, chunks: str, announced: str, *, later: bool
) -> None:
    first = f"POST /first HTTP/1.1\r\nHost: a\r\n{announced}{CHUNKED}{chunks}"
    told = await (server.answers(first, LAST) if later else server.answers(first + LAST))
    assert [path for path, _ in server.seen] in ([], ["/first"])
    assert told.count(b"HTTP/1.") == 1
    if server.seen:
        assert b"Connection: close" in told


async def test_requests_before_chunks_are_answered(server: Server) -> None:
    chunks = f"POST /chunks HTTP/1.1\r\nHost: a\r\n{CHUNKED}0\r\nX-Foreign: a\r\n\r\n"
    told = await server.answers(GET + GET + chunks + LAST)
    assert [path for path, _ in server.seen] == ["/", "/", "/chunks"]
    assert told.count(b"200 OK") == 3
    assert told.count(b"Connection: close") == 1


@pytest.mark.parametrize(
    "first",
    [
        "GET /first HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n\r\n",
        "GET /first HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\r\n",
        "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nX: a",
        "POST /first HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        "GET /first HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        "GET /first HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
    ],
    ids=["empty", "encoding", "length", "not-gzip", "http/1.0", "no-upgrade"],
)
@pytest.mark.parametrize("later", [False, True], ids=["same-piece", "later"])
async def test_a_request_has_what_was_sent_with_it(
    server: Server, first: str, *, later: bool
) -> None:
    told = await (server.answers(first, LAST) if later else server.answers(first + LAST))
    assert told.count(b"200 OK") == 2
    assert server.seen[1] == ("/last", ("Host: a", "Connection: close"))


def a_request(chance: random.Random, number: int) -> tuple[str, str]:
    """A request whose headers and trailers name its number, and its framing."""
    framing, rest = chance.choice(
        [
            ("none", "\r\n"),
            ("length", "Content-Length: 4\r\n\r\n\r\n\r\n"),
            ("chunks", f"{CHUNKED}1\r\na\r\n0\r\nX-{number}-T: a\r\nX-{number}-U: a\r\n\r\n"),
        ]
    )
    return f"POST /{number} HTTP/1.1\r\nHost: {number}\r\nX-{number}: a\r\n{rest}", framing


@pytest.mark.parametrize("seed", range(20))
async def test_requests_in_any_order_and_cut_anywhere_stay_apart(server: Server, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same tries each time
    for _ in range(10):
        made = [a_request(chance, number) for number in range(chance.randint(2, 6))]
        stream = "".join(text for text, _ in made)
        server.seen.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        cuts = sorted(chance.sample(range(1, len(stream)), chance.randint(0, 9)))
        for start, end in itertools.pairwise([0, *cuts, len(stream)]):
            writer.write(stream[start:end].encode())
            await asyncio.sleep(0)
        writer.write(LAST.encode())
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        framings = [framing for _, framing in made]
        last = framings.index("chunks") if "chunks" in framings else len(made)
        expected = [f"/{number}" for number in range(len(made))] + ["/last"]
        assert [path for path, _ in server.seen] == expected[: last + 1]
        for path, headers in server.seen[: len(made)]:
            assert headers[:2] == (f"Host: {path[1:]}", f"X-{path[1:]}: a")
            assert len(headers) <= 3
