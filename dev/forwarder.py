"""A TCP port that leads to another one, which may change: an address behind which servers move."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from dev.process import HOST


class Forwarder:
    """Passes bytes on.

    Attributes:
        port: where it listens.
        target: the port of new connections.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes by one connection."""
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(HOST, self.target)
            await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def forwarder(target: int) -> AsyncIterator[Forwarder]:
    """One that listens."""
    forwarding = Forwarder(target)
    server = await asyncio.start_server(forwarding.handle, HOST, 0)
    forwarding.port = server.sockets[0].getsockname()[1]
    try:
        yield forwarding
    finally:
        server.close()
