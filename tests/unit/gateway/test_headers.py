"""Control characters in what CouchDB answers reach nobody, and are no error of the gateway's."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from openwhisk.gateway import answers, headers
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import (
    BASIC,
    FakeDatabase,
    document,
)

CONTROLS = ["\x1b[31m", "\x7f", "\x01", "\x0b"]


class Raw:
    """A CouchDB that answers with these bytes, whatever is asked."""

    def __init__(self) -> None:
        self.answer = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def raw(database: FakeDatabase) -> AsyncIterator[Raw]:
    answering = Raw()
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0)
    database.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield answering
    server.close()


def _one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert [record for record in caplog.records if record.exc_info] == []
    (logged,) = [record for record in caplog.records if record.name == headers.__name__]
    assert "WWW-Authenticate" in logged.getMessage()
    assert logged.getMessage().isprintable()


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("length", [2, 100_000], ids=["whole", "streamed"])
async def test_a_header_is_left_out(
    start: StartGateway, raw: Raw, control: str, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start()
    raw.answer = (
        f'HTTP/1.1 200 OK\r\nWWW-Authenticate: Basic realm="{control}"\r\nX-Other: a\tb\r\n'
        f"Content-Length: {length}\r\n\r\n{'x' * length}"
    ).encode()
    async with gateway.client.get(f"{gateway.url}/db/a", headers=BASIC) as answer:
        assert (answer.status, len(await answer.read())) == (200, length)
        assert answer.headers["X-Other"] == "a\tb"
        assert "WWW-Authenticate" not in answer.headers
    _one_line(caplog)


@pytest.mark.parametrize("control", CONTROLS)
async def test_a_refusal_is_answered_without_its_challenge(
    start: StartGateway, raw: Raw, control: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start()
    raw.answer = (
        f'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="{control}"\r\n'
        "Content-Length: 2\r\n\r\n{}"
    ).encode()
    async with gateway.put_document(document()) as answer:
        assert (answer.status, await answer.read()) == (401, b"{}\n")
        assert "WWW-Authenticate" not in answer.headers
    _one_line(caplog)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("length", [2, 100_000], ids=["whole", "streamed"])
async def test_a_reason_is_the_usual_one(
    start: StartGateway, raw: Raw, control: str, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start()
    head = f"HTTP/1.1 200 a{control}b\r\nContent-Length: {length}\r\n\r\n"
    raw.answer = head.encode() + b"x" * length
    async with gateway.client.get(f"{gateway.url}/db/a", headers=BASIC) as answer:
        assert (answer.status, answer.reason) == (200, "OK")
        assert len(await answer.read()) == length
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("revision", ["1-x\\r\\nSet-Cookie: a=b", "1-x\\u001b", "1-x\\n"])
def test_a_revision_that_no_header_may_have_is_none_of_couchdbs(revision: str) -> None:
    told = answers.entry(f'{{"ok":true,"id":"a","rev":"{revision}"}}'.encode())
    assert told is not None
    assert not told.is_of("a")


@pytest.mark.parametrize(
    "connection, status",
    [(["close"], 404), (["a, b"], 404), (["a," * 101], 400), (["a"] * 101, 400)],
    ids=["one", "two", "very many", "very many headers"],
)
async def test_a_connection_header_names_a_hundred_headers_at_the_most(
    start: StartGateway, connection: list[str], status: int
) -> None:
    gateway = await start()
    sent = [*BASIC.items(), *(("Connection", names) for names in connection)]
    async with gateway.client.get(f"{gateway.url}/db", headers=sent) as answer:
        assert answer.status == status  # the fake database answers GET with 404
        assert ("Connection names" in await answer.text()) == (status == 400)
