"""What an attacker sends, and what an honest client feels of it."""

import asyncio
import contextlib
import time
from pathlib import Path

import aiohttp
from yarl import URL

from dev.process import HOST
from tests.integration.support.gateway import Gateway
from tests.integration.support.records import Records

ELSEWHERE = "127.0.0.2"
"""Another address of this machine."""

_PAUSE = 0.02


class Victim:
    """A gateway, and an honest client that writes one record after the other.

    Args:
        gateway: as a process.
        database: of the activations.
        couchdb: URL with credentials that may write.
    """

    def __init__(self, gateway: Gateway, database: str, couchdb: URL) -> None:
        self.gateway = gateway
        self.database = database
        self.authorization = aiohttp.encode_basic_auth(couchdb.user or "", couchdb.password or "")
        self.statuses: list[int] = []
        self.slowest = 0.0
        """Seconds of the slowest honest write."""
        self._honest: asyncio.Task[None] | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._memory = 0

    async def begin(self) -> None:
        """Write a first record, and go on writing until the end."""
        assert await self.gateway.put(Records(1).one()) == 201
        self._memory = self.memory()
        self._honest = asyncio.create_task(self._write())

    async def end(self) -> None:
        """Let the attackers' connections go."""
        if self._honest is not None:
            self._honest.cancel()
            await asyncio.wait({self._honest})
        for writer in self._writers:
            writer.close()

    async def connect(self, sent: bytes = b"", address: str = ELSEWHERE) -> asyncio.StreamReader:
        """An attacker's connection, on which this much is sent."""
        reader, writer = await asyncio.open_connection(
            HOST, self.gateway.port, local_addr=(address, 0)
        )
        self._writers.append(writer)
        writer.write(sent)
        return reader

    def head(self, method: str = "POST", path: str = "_bulk_docs", *, headers: str) -> bytes:
        """The head of a request to the database with credentials that may write."""
        return (
            f"{method} /{self.database}/{path} HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: {self.authorization}\r\n{headers}\r\n\r\n"
        ).encode()

    def memory(self) -> int:
        """Bytes of the gateway that are in memory."""
        status = Path(f"/proc/{self.gateway.pid}/status").read_text(encoding="utf-8")
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    @property
    def grown(self) -> int:
        """Bytes that the gateway has in memory more than at the beginning."""
        return self.memory() - self._memory

    async def unharmed(self, *, writes: int = 10, slowest: float = 1.0) -> None:
        """Return after some more honest writes: all were taken, none was slow.

        Args:
            writes: that must pass from now on.
            slowest: seconds of the slowest since the beginning; the test shares its processors.
        """
        until = len(self.statuses) + writes
        async with asyncio.timeout(30):
            while len(self.statuses) < until:  # noqa: ASYNC110 - the honest client goes on
                await asyncio.sleep(_PAUSE)
        assert set(self.statuses) == {201}
        assert self.slowest < slowest
        assert self.gateway.running
        assert "Traceback" not in self.gateway.log()

    async def _write(self) -> None:
        records = Records(2)
        while True:
            began = time.monotonic()
            try:
                status = await self.gateway.put(records.one())
            except (aiohttp.ClientError, OSError):
                status = 0
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.statuses.append(status)
            await asyncio.sleep(_PAUSE)


async def answer(reader: asyncio.StreamReader, within: float = 20.0) -> bytes:
    """What comes until the connection ends; empty when it is broken off."""
    received = bytearray()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(within):
            while piece := await reader.read(65_536):
                received += piece
    return bytes(received)


async def ended(reader: asyncio.StreamReader, within: float) -> bool:
    """Whether the other side closes the connection in time."""
    try:
        async with asyncio.timeout(within):
            while await reader.read(65_536):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True
