"""What passes through the gateway, before a database that does not behave as aiohttp's would."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from openwhisk.gateway.shares import Share, Shares
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import FakeDatabase, document

PATIENCE = 30
STUCK = 0.3
"""Seconds in which a database gets rid of nothing more."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(database: FakeDatabase, serve: Serve) -> AsyncIterator[None]:
    """A database that is what `serve` makes of each connection."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    database.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield


async def test_no_length_is_announced_for_a_body_that_does_not_follow(
    start: StartGateway, database: FakeDatabase
) -> None:
    """The request of the next client would be taken for that body."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # It answers before the body is there, and keeps the connection, as proxies do.
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async with listening(database, serve):
        gateway = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /db/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2**64 - 1))
        async with asyncio.timeout(PATIENCE):
            assert b" 404 " in await reader.readline()
        async with gateway.client.get(f"{gateway.url}/db/victim") as answer:
            assert answer.status == 404
        writer.close()
        assert [head.partition(b" HTTP/")[0] for head in heads] == [
            b"POST /db/x",
            b"GET /db/victim",
        ]
        assert b"content-length: 0" in heads[0].lower()


@pytest.mark.parametrize(
    "request_line,header",
    [
        (b"GET /db/x", b"X-A: a\xff\xfeb"),
        (b"GET /db/x", b"Authorization: Basic \xff"),
        (b"POST /db/_bulk_docs", b"Authorization: Basic \xff"),
        (b"GET /db/x", b"X-A: \xed\xb2\x80"),
        (b"GET /db/x", b"X-A: a\r\nX-A: \xe9"),
    ],
)
async def test_a_header_that_would_lose_bytes_is_refused(
    start: StartGateway, database: FakeDatabase, request_line: bytes, header: bytes
) -> None:
    gateway = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    rest = (
        b"Host: a\r\nContent-Type: application/json\r\nContent-Length: 11\r\nConnection: close\r\n"
    )
    writer.write(request_line + b" HTTP/1.1\r\n" + rest + header + b'\r\n\r\n{"docs":[]}')
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'{"error":"bad_request","reason":"a header is not UTF-8"}' in answer
    assert database.seen == []


async def test_a_header_in_utf_8_is_passed_on_as_it_came(
    start: StartGateway, database: FakeDatabase
) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    value = "é 漢 🜁".encode()
    async with listening(database, serve):
        gateway = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /db/x HTTP/1.1\r\nHost: a\r\nX-A: " + value + b"\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert b" 404 " in await reader.readline()
        writer.close()
    assert b"\r\nX-A: " + value + b"\r\n" in heads[0]


async def test_what_a_client_does_not_read_stays_with_the_database(
    start: StartGateway, database: FakeDatabase
) -> None:
    """Each of a thousand connections has little of an answer in memory, the kernel's included."""
    left = 0
    stuck = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        own: socket.socket = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 2**40)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                writer.write(b"x" * 16 * 1024)
                async with asyncio.timeout(STUCK):
                    await writer.drain()
                left += 16 * 1024
        stuck.set()
        writer.transport.abort()

    async with listening(database, serve):
        gateway = await start()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", gateway.port))
            client.sendall(b"GET /db/large HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await stuck.wait()
    assert left < 1024 * 1024


async def test_a_body_counts_for_all_addresses_of_an_ipv6_network(
    start: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[str] = []

    def share(shares: Shares, *those: str) -> Share:
        owners.extend(those)
        return Share(shares, those)

    monkeypatch.setattr(Shares, "share", share)
    monkeypatch.setattr(web.Request, "remote", "2001:db8::5")
    gateway = await start()
    async with gateway.put_document(document()) as answer:
        assert answer.status == 201
    assert owners[0] == "address 2001:db8::/64"
