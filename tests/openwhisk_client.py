"""A client that treats a database over HTTP as OpenWhisk's does.

OpenWhisk's `CouchDbRestStore` over its `PoolingRestClient`:

- Connections are pooled, with one request at a time on each. One that the server closed while it
  was idle is not used again. At most half of them are for batches of activations: more of those
  wait.
- The body of an answer from 300 on is read twice, which works only if it came together with its
  headers: a split error is a failure of its own (`SplitError`).
- What was answered, with any status, is never sent again.
- A connection that breaks, or is silent for 60 s, fails its request. Batches of activations
  (`_bulk_docs`) are then sent again, up to three times; the pool itself repeats `PUT`, `GET` and
  `DELETE`, up to five times.
- Revisions go in `If-Match`, ids through Java's `URLEncoder`.
"""

import asyncio
import base64
import json
import socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from yarl import URL

_BATCH_REPEATS = 3
_POOL_REPEATS = 5
_ERROR = 300
_TCP_INFO_DATA_SEGMENTS_IN = 152
"""Offset of `tcpi_data_segs_in` in Linux' `struct tcp_info`."""


class BrokenError(Exception):
    """The connection broke, or was silent for too long."""


class SplitError(Exception):
    """The body of an error came after its headers: OpenWhisk can't read it, and fails."""


@dataclass(frozen=True)
class Answer:
    """A complete answer.

    Attributes:
        status: of HTTP.
        headers: with names in lower case.
        body: without transfer encoding.
        segments: how many TCP segments with data it came in.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    segments: int

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class _Connection:
    def __init__(self, at: socket.socket) -> None:
        self._socket = at
        self._buffer = bytearray()

    def close(self) -> None:
        self._socket.close()

    @property
    def open(self) -> bool:
        """Whether the server has not closed it while it was idle."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def segments(self) -> int:
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (count,) = struct.unpack_from("=I", info, _TCP_INFO_DATA_SEGMENTS_IN)
        return int(count)

    async def exchange(self, request: bytes, *, head: bool) -> Answer:
        loop = asyncio.get_running_loop()
        before = self.segments()
        await loop.sock_sendall(self._socket, request)
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        status = int(first.split()[1])
        if head or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self._exactly(int(headers.get("content-length", "0")))
        return Answer(status, headers, body, self.segments() - before)

    async def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                await self._more()
            size = int(bytes(self._buffer[:end]), 16)
            del self._buffer[: end + 2]
            body += await self._exactly(size)
            await self._exactly(2)
            if not size:
                return bytes(body)

    async def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _more(self) -> None:
        piece = await asyncio.get_running_loop().sock_recv(self._socket, 1 << 18)
        if not piece:
            raise ConnectionResetError("closed by the server")
        self._buffer += piece


class OpenWhiskClient:
    """The database client of one OpenWhisk component.

    Args:
        url: of the gateway or of CouchDB, with credentials.
        database: of the activations.
        connections: most at a time (OpenWhisk: 128).
        silence: seconds that an answer may take (`idle-timeout`: 60).
    """

    def __init__(
        self, url: str, database: str, *, connections: int = 128, silence: float = 60.0
    ) -> None:
        parsed = URL(url)
        self._at = (parsed.host or "127.0.0.1", parsed.port or 5984)
        token = base64.b64encode(f"{parsed.user or ''}:{parsed.password or ''}".encode())
        self._credentials = f"Basic {token.decode()}"
        self._database = database
        self._silence = silence
        self._idle: deque[_Connection] = deque()
        self._slots = asyncio.Semaphore(connections)
        self._batches = asyncio.Semaphore(max(1, connections // 2))
        self.repeats = 0
        """Requests that were sent again."""

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()

    async def store(self, documents: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Store activations in one batch: whether each one is taken for stored.

        Raises:
            BrokenError: not answered, four times in a row.
        """
        body = json.dumps({"docs": documents}, ensure_ascii=False).encode()
        path = f"/{self._database}/_bulk_docs"
        async with self._batches:
            answer = await self._repeated("POST", path, body, _BATCH_REPEATS)
        if answer.status >= _ERROR:
            return [False] * len(documents)
        return ["error" not in entry for entry in answer.json]

    async def put(self, document: Mapping[str, Any], rev: str | None = None) -> Answer:
        """Write one document, as OpenWhisk does without batching."""
        body = json.dumps(document, ensure_ascii=False).encode()
        return await self._document("PUT", str(document["_id"]), body, rev)

    async def get(self, document_id: str, rev: str | None = None) -> Answer:
        """Read one document; OpenWhisk compares `_rev` itself."""
        return await self._document("GET", document_id, b"", rev)

    async def delete(self, document_id: str, rev: str) -> Answer:
        """Delete one document."""
        return await self._document("DELETE", document_id, b"", rev)

    async def _document(
        self, method: str, document_id: str, body: bytes, rev: str | None
    ) -> Answer:
        headers = {"If-Match": f'"{rev}"'} if rev else {}
        path = f"/{self._database}/{quote_plus(document_id)}"
        return await self._repeated(method, path, body, _POOL_REPEATS, headers)

    async def _repeated(
        self,
        method: str,
        path: str,
        body: bytes,
        repeats: int,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        for again in range(repeats + 1):
            try:
                answer = await self.request(method, path, body, headers)
            except BrokenError:
                if again == repeats:
                    raise
                self.repeats += 1
            else:
                if answer.status >= _ERROR and answer.body and answer.segments > 1:
                    raise SplitError(f"{method} {path}: {answer.status}")
                return answer
        raise AssertionError

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, sent once.

        Raises:
            BrokenError: the connection broke or was silent for too long.
        """
        given = {
            "Host": f"{self._at[0]}:{self._at[1]}",
            "Authorization": self._credentials,
            "Accept": "application/json",
            **({"Content-Type": "application/json", "Content-Length": len(body)} if body else {}),
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        sent = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
        async with self._slots:
            connection = None
            try:
                async with asyncio.timeout(self._silence):
                    connection = self._pooled() or await self._connect()
                    answer = await connection.exchange(sent, head=method == "HEAD")
            except (TimeoutError, OSError) as problem:
                if connection is not None:
                    connection.close()
                raise BrokenError(str(problem) or "silent") from problem
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            if answer.headers.get("connection") == "close":
                connection.close()
            else:
                self._idle.append(connection)
            return answer

    def _pooled(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        opened = socket.socket()
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(opened, self._at)
        except BaseException:
            opened.close()
            raise
        return _Connection(opened)
