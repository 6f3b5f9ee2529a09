"""Requests that expect something, from clients that are strange or gone."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.process.expectations import CONTINUE, answer_expectations
from tests.fakes.time import until


class Server:
    """A server of which a request is answered when it is allowed to be."""

    def __init__(self) -> None:
        answer_expectations()
        app = web.Application()
        app.router.add_put("/", self.put)
        self.runner = web.AppRunner(app)

    async def put(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def ask(self, head: bytes) -> bytes:
        """What is answered."""
        reader, writer = await asyncio.open_connection(*self.runner.addresses[0])
        head = b"PUT " + head + b"\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
        writer.write(head + b"body")
        answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.runner.setup()
    await web.TCPSite(server.runner, "127.0.0.1", 0).start()
    yield server
    await server.runner.cleanup()


async def test_a_client_is_told_to_go_on(server: Server) -> None:
    answer = await server.ask(b"/ HTTP/1.1\r\nExpect: 100-Continue")
    assert answer.startswith(CONTINUE + b"HTTP/1.1 200 OK")
    assert answer.endswith(b"body")


@pytest.mark.parametrize("path", [b"/", b"/nowhere"])
@pytest.mark.parametrize("expectation", [b"200-ok", b"\xff\xfe", b"100-continue\xff"])
async def test_what_else_is_expected_is_refused_whatever_it_is(
    server: Server, path: bytes, expectation: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await server.ask(path + b" HTTP/1.1\r\nExpect: " + expectation)
    assert answer.startswith(b"HTTP/1.1 417 ")
    # Asyncio's logger tells of tasks of other tests that end up as garbage meanwhile.
    assert not [record for record in caplog.records if record.name != "asyncio"]


async def test_a_client_that_is_gone_when_it_is_to_go_on_is_no_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    resolve = server.runner.app.router.resolve
    resolving: list[asyncio.Task[object] | None] = []
    hung_up = asyncio.Event()

    async def slowly(request: web.Request) -> web.UrlMappingMatchInfo:
        resolving.append(asyncio.current_task())
        await hung_up.wait()
        return await resolve(request)

    monkeypatch.setattr(server.runner.app.router, "resolve", slowly)
    _, writer = await asyncio.open_connection(*server.runner.addresses[0])
    writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    await until(lambda: bool(resolving))
    (task,) = resolving
    assert server.runner.server is not None
    (connection,) = server.runner.server.connections
    writer.transport.abort()
    await until(lambda: connection.transport is None)
    hung_up.set()
    await until(lambda: task is not None and task.done())
    assert caplog.messages == []
