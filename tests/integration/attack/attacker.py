"""What an attacker sends, and what an honest client feels of it."""

import asyncio
import contextlib
from pathlib import Path

import aiohttp
from yarl import URL

from dev.process import HOST
from dev.starved import Stopwatch, ThisProcess
from tests.integration.support.gateway import Gateway
from tests.integration.support.records import Records

ELSEWHERE = "127.0.0.2"
"""Another address of this machine."""

SECRET = "d2hpc2s6Z3Vlc3MtbWU"

FRAMING = {
    "no size of a chunk": "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "negative size of a chunk": "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "size of a chunk beyond 64 bits": (
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n"
    ),
    "no end of a chunk": "Transfer-Encoding: chunked\r\n\r\n2\r\n{}2\r\n{}0\r\n\r\n",
    "trailers without end": "Transfer-Encoding: chunked\r\n\r\n0\r\n" + "X-A: b\r\n" * 20_000,
    "an extension without end": "Transfer-Encoding: chunked\r\n\r\n2;" + "a" * 400_000,
    "both kinds of length": (
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /_users HTTP/1.1\r\n"
    ),
    "two lengths": "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "negative length": "Content-Length: -1\r\n\r\n{}",
    "length beyond 64 bits": "Content-Length: 99999999999999999999\r\n\r\n{}",
    "unknown framing": "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks in chunks": "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a line that is no header": f"Authorization Basic {SECRET}\r\nContent-Length: 2\r\n\r\n{{}}",
    "a space before the colon": "Content-Length : 2\r\n\r\n{}",
    "a folded line": "X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
    "a zero byte": "X-A: \x00\r\nContent-Length: 2\r\n\r\n{}",
    "a name without end": "X" * 300_000,
    "very many headers": "X-A: b\r\n" * 5000 + "\r\n",
    "another protocol": "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}PRI",
}
"""What comes behind the first headers of a request, and is no HTTP or a trap for who reads on."""

_PAUSE = 0.02


JSON = "Content-Type: application/json\r\n"


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
        self.couchdb = couchdb
        self.authorization = aiohttp.encode_basic_auth(couchdb.user or "", couchdb.password or "")
        self.statuses: list[int] = []
        self.slowest = 0.0
        """Seconds of the slowest honest write, without those in which there was no core for it."""
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
        return (await self.open(sent, address))[0]

    async def open(
        self, sent: bytes = b"", address: str = ELSEWHERE
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The same, to send more on it."""
        reader, writer = await asyncio.open_connection(
            HOST, self.gateway.port, local_addr=(address, 0)
        )
        self._writers.append(writer)
        writer.write(sent)
        return reader, writer

    def head(self, method: str = "POST", path: str = "_bulk_docs", *, headers: str) -> bytes:
        """The head of a request to the database with credentials that may write."""
        return (
            f"{method} /{self.database}/{path} HTTP/1.1\r\nHost: {HOST}\r\n"
            f"Authorization: {self.authorization}\r\n{JSON}{headers}\r\n\r\n"
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
            slowest: seconds of the slowest since the beginning.
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
            watch = Stopwatch(ThisProcess(), self.gateway)
            try:
                status = await self.gateway.put(records.one())
            except (aiohttp.ClientError, OSError):
                status = 0
            self.slowest = max(self.slowest, watch.seconds())
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


def statuses(told: bytes) -> set[int]:
    """Of all answers on a connection."""
    lines = told.split(b"\r\n")
    return {int(line.split(b" ")[1]) for line in lines if line.startswith(b"HTTP/1.")}
