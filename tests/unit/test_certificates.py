"""Certificates that are renewed in their files while a process runs."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
import uvloop

from app.settings.security import client_context

HOST = "127.0.0.1"


class Authority:
    """Signs the certificates of a server, and of a client in files."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """The authority's certificate, the client's and its key."""
        files = folder / "ca", folder / "certificate", folder / "key"
        client = self._authority.issue_cert("persister@example.org")
        contents = self._authority.cert_pem, client.cert_chain_pems[0], client.private_key_pem
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content.bytes())
        return files

    @asynccontextmanager
    async def server(self) -> AsyncIterator[int]:
        """A server that asks for a client's certificate; its port."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(HOST).configure_cert(context)
        self._authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"welcome")
            writer.close()

        server = await asyncio.start_server(greet, HOST, 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]


async def greeted(port: int, context: ssl.SSLContext) -> bool:
    """Whether a new connection is let in."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
        try:
            return await reader.read() == b"welcome"
        finally:
            writer.close()
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.fixture
def before() -> Authority:
    return Authority()


@pytest.fixture
def after() -> Authority:
    return Authority()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_uses_what_the_files_hold_when_it_is_made(
    tmp_path: Path,
    before: Authority,
    after: Authority,
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def renewed() -> None:
        context = client_context(*before.write(tmp_path))
        async with before.server() as port:
            assert await greeted(port, context)
        after.write(tmp_path)
        async with after.server() as port:
            assert await greeted(port, context)
        async with before.server() as port:
            assert not await greeted(port, context)  # its authority is no longer trusted

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(renewed())


async def test_links_are_followed_to_where_they_lead_by_now(
    tmp_path: Path, before: Authority, after: Authority
) -> None:
    """So Kubernetes changes what it mounts."""
    for folder in (one := tmp_path / "1", two := tmp_path / "2"):
        folder.mkdir()
    before.write(one)
    link = tmp_path / "current"
    link.symlink_to(one)
    context = client_context(*(link / name for name in ("ca", "certificate", "key")))
    after.write(two)
    (tmp_path / "next").symlink_to(two)
    (tmp_path / "next").replace(link)
    async with after.server() as port:
        assert await greeted(port, context)


async def test_files_that_do_not_fit_yet_are_tried_again(
    tmp_path: Path, before: Authority, after: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    _, _, key = files = before.write(tmp_path)
    context = client_context(*files)
    after.write(tmp_path)
    whole = key.read_bytes()
    key.write_bytes(b"")
    async with before.server() as port:
        assert await greeted(port, context)
        assert await greeted(port, context)
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(key) in warnings[0]
    key.write_bytes(whole)
    async with after.server() as port:
        assert await greeted(port, context)


async def test_a_stranger_is_not_trusted(
    tmp_path: Path, before: Authority, after: Authority
) -> None:
    context = client_context(*before.write(tmp_path))
    async with after.server() as port:
        assert not await greeted(port, context)
