"""The real CouchDB behind the gateway: what passes through, and the few requests of our own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import AddrInfoType, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from app.process.unasked import Connector, UnaskedError
from app.settings.security import client_context
from openwhisk.gateway import answers
from openwhisk.gateway.credentials import Judgement, Refusal, credentials_of
from openwhisk.gateway.headers import sendable_reason
from openwhisk.gateway.large import LARGE, Bytes, pieces
from openwhisk.gateway.questions import Questions
from openwhisk.gateway.records import bulk_body

LONGEST_LINE = 65_536
"""Bytes of a request line or header, each way; views are asked with long `keys`."""

CLIENT: ContextVar[str] = ContextVar("CLIENT", default="unknown")
"""The client on whose behalf CouchDB is asked: CouchDB counts wrong passwords by address, and the
gateway and the persister may share theirs."""

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that speak about one connection (RFC 9110, 7.6.1)."""

_ANSWERED_HERE = frozenset({"host", "expect"})
"""The client library names the host; `100 Continue` was said already."""

_SMALL = 64 * 1024
"""Bytes of a successful answer that still leaves in one piece."""

_LARGEST_ERROR = 1024 * 1024
"""Bytes of an error that still leaves in one piece; CouchDB's have some hundred."""

_LARGEST_ENTRY = 4096
"""Bytes that a `_bulk_docs` answer has for a document; CouchDB's have some hundred."""

_LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of documents that are read back; they are some that a request was allowed to hold."""

_AT_ONCE = 64 * 1024
"""Bytes that the kernel keeps of an answer, and so at most about twice what one read brings; by
itself it keeps megabytes, of which uvloop reads 256 KB at a time."""

_UNREAD = 16 * 1024
"""Half of the bytes of an answer that aiohttp keeps for a client that does not read them."""

_FIRST_PIECES = 0.05
"""Seconds for an answer of unknown length to end; then it is a feed, or large, and streams."""

_ERROR = 300
"""From this status on, OpenWhisk's client takes an answer for an error."""

_CLIENT_ERROR = 400

_REFUSED = (401, 403)

_BULK_TIMEOUT = 60.0
"""Seconds for a `_bulk_docs` request of our own."""


_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


_Data = bytes | AsyncIterator[bytes] | AsyncIterator[memoryview] | None


class _Row(msgspec.Struct):
    doc: dict[str, Any] | None = None


class _Rows(msgspec.Struct):
    rows: list[_Row]


_rows = msgspec.json.Decoder(_Rows).decode
_documents = msgspec.json.Decoder(list[msgspec.Raw]).decode

_UNREADABLE = (ValueError, RecursionError)
"""What reading an answer raises; msgspec's and Unicode's errors are `ValueError`s."""


class UpstreamError(Exception):
    """CouchDB did not answer, or not as CouchDB does."""


class UnreachableError(UpstreamError):
    """No connection to CouchDB: nothing was sent, so that trying again does no harm."""


class RefusedError(Exception):
    """CouchDB refuses the credentials of a request: asking it once more would count as an attempt.

    Attributes:
        refusal: its answer, which is the client's.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"status {refusal.status}")
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """What CouchDB said to a `_bulk_docs` request.

    Attributes:
        status: of HTTP.
        body: of the whole answer.
        documents: one entry per document, in order; None if it refused the request.
    """

    status: int
    body: bytes
    documents: list[bytes] | None


class Upstream:
    """Talks to CouchDB; credentials are always those of the client.

    Args:
        url: of CouchDB, without credentials.
        database: of the activations.
        connect_timeout: seconds to connect, and to answer a question of the gateway's own.
        ca_file: certificate authority for https, when it is not one of the system's.
        trusted: users whose activations no validation function need hear. Where any are named,
            CouchDB hears everybody else's.
        validation_ttl: seconds that it is remembered whether there are validation functions.
    """

    def __init__(
        self,
        url: str,
        database: str,
        *,
        connect_timeout: float,
        ca_file: str | None = None,
        trusted: frozenset[str] = frozenset(),
        validation_ttl: float = 60.0,
    ) -> None:
        self._url = url
        self._database = URL(f"{url}/{quote(database, safe='')}", encoded=True)
        self._session = aiohttp.ClientSession(
            connector=Connector(
                limit=0,  # as many connections as clients
                socket_factory=_socket,
                ssl=client_context(Path(ca_file)) if ca_file else True,
            ),
            # A long poll is silent for as long as its client likes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            read_bufsize=_UNREAD,
        )
        # A redirect is the client's business: what the gateway asks, it asks only here.
        self._request = partial(self._session.request, allow_redirects=False)
        self._questions = Questions(
            self._request,
            url,
            self._database,
            connect_timeout=connect_timeout,
            trusted=trusted,
            validation_ttl=validation_ttl,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def forward(
        self, request: web.Request, body: bytes | bytearray | None = None
    ) -> web.StreamResponse:
        """Pass a request through, its body as a stream, and its answer unless that is small.

        An error and a small answer leave in one piece, as from CouchDB: OpenWhisk's client reads
        the body of an error twice, and finds nothing the second time if it came after the headers.

        Args:
            request: of the client.
            body: as it came, if it was received already.

        Raises:
            UnreachableError: CouchDB is not there; nothing of the body was read.
            ConnectionError: CouchDB or the client left while the answer was on its way.
        """
        path = request.raw_path
        if not path.startswith("/"):
            path = URL(path, encoded=True).raw_path_qs  # the absolute form, meant for proxies
        headers = _to_upstream(request)
        data: _Data = None
        if body is not None:
            headers["Content-Length"] = str(len(body))
            data = _sent([body])
        elif request.body_exists:
            data = request.content.iter_any()
        else:
            # aiohttp takes the largest length of all for none. CouchDB would wait for that body,
            # and take the next request on the connection, of another client, for its beginning.
            headers.popall("Content-Length", None)
        response: web.StreamResponse | None = None
        try:
            async with self._request(
                request.method,
                URL(self._url + path, encoded=True),
                headers=headers,
                data=data,
            ) as answer:
                beginning, ended = await _beginning(answer)
                headers = _without_hops(answer.headers)
                if ended:
                    return web.Response(
                        status=answer.status,
                        reason=sendable_reason(answer.reason),
                        headers=headers,
                        body=beginning,
                    )
                response = web.StreamResponse(
                    status=answer.status, reason=sendable_reason(answer.reason), headers=headers
                )
                await response.prepare(request)
                await response.write(beginning)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response
        except _NOT_CONNECTED as problem:
            raise _no_answer(problem) from problem
        except (aiohttp.ClientError, OSError) as problem:
            if response is None:
                return answers.none(request)  # as it broke off, so it does here
            raise ConnectionAbortedError("the answer of CouchDB broke off") from problem

    async def write(
        self, documents: Sequence[bytes | memoryview], headers: Mapping[str, str]
    ) -> BulkAnswer:
        """Write documents with the credentials in `headers`.

        Raises:
            UnreachableError: CouchDB is not there.
            UpstreamError: no answer, or one that is not CouchDB's.
        """
        parts = list(bulk_body(documents))
        try:
            async with self._request(
                "POST",
                self._database / "_bulk_docs",
                data=_sent(parts),
                headers={**_own(headers), "Content-Length": str(sum(map(len, parts)))},
                timeout=aiohttp.ClientTimeout(total=_BULK_TIMEOUT),
            ) as answer:
                body = await _read(answer, _LARGEST_ERROR + _LARGEST_ENTRY * len(documents))
        except (aiohttp.ClientError, OSError) as problem:
            raise _no_answer(problem) from problem
        if answer.status not in (201, 202):
            if answer.status < _CLIENT_ERROR:  # it neither writes nor refuses
                raise UpstreamError(f"CouchDB answers {answer.status} to _bulk_docs")
            return BulkAnswer(answer.status, body, None)
        try:
            entries = [bytes(entry) for entry in _documents(body)]
        except _UNREADABLE as problem:
            raise UpstreamError("the answer to _bulk_docs is not CouchDB's JSON") from problem
        if not all(entry.startswith(b"{") for entry in entries):
            raise UpstreamError("the answer to _bulk_docs has entries that are no objects")
        if len(entries) != len(documents):
            raise UpstreamError(f"{len(entries)} answers to {len(documents)} documents")
        return BulkAnswer(answer.status, body, entries)

    async def documents(
        self, ids: Sequence[str], headers: Mapping[str, str]
    ) -> list[dict[str, Any] | None]:
        """Read documents, in order; None where there is none.

        Raises:
            UpstreamError: no answer, or one that is not CouchDB's.
            RefusedError: of the credentials.
        """
        status, body = await self._own_request(
            "POST",
            "/_all_docs?include_docs=true",
            headers,
            msgspec.json.encode({"keys": ids}),
        )
        if status != 200:  # noqa: PLR2004 - OK
            raise UpstreamError(f"CouchDB answers {status}")
        try:
            rows = _rows(body).rows
        except _UNREADABLE as problem:
            raise UpstreamError("the answer to _all_docs is not CouchDB's JSON") from problem
        if len(rows) != len(ids):
            raise UpstreamError(f"{len(rows)} rows for {len(ids)} documents")
        return [row.doc for row in rows]

    async def missing(self, document_id: str, headers: Mapping[str, str]) -> bool | None:
        """Whether a document was never there; None if CouchDB does not say.

        Raises:
            UpstreamError: no answer.
            RefusedError: of the credentials.
        """
        path = f"/{quote(document_id, safe='')}"
        status, body = await self._own_request("GET", path, headers, most=0)
        if status == 404:  # noqa: PLR2004 - not found
            # Of a deleted one it says so.
            return b'"missing"' in body
        return False if status == 200 else None  # noqa: PLR2004 - OK

    async def _own_request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        most: int = _LARGEST_ANSWER,
    ) -> tuple[int, bytes]:
        """Status and body of an answer; of a good one no more than `most` bytes, if any."""
        try:
            async with self._request(
                method,
                URL(f"{self._database}{path}", encoded=True),
                data=body,
                headers=_own(headers),
                timeout=aiohttp.ClientTimeout(total=_BULK_TIMEOUT),
            ) as answer:
                if answer.status < _ERROR:
                    return answer.status, await _read(answer, most) if most else b""
                body = await _read(answer, _LARGEST_ERROR)
                if answer.status in _REFUSED:
                    challenge = answer.headers.get("WWW-Authenticate")
                    raise RefusedError(Refusal(answer.status, body, challenge))
                return answer.status, body
        except (aiohttp.ClientError, OSError) as problem:
            raise _no_answer(problem) from problem

    async def ask(self, credentials: Mapping[str, str], client: str) -> Judgement:
        """Whether CouchDB lets these headers write to the activations database.

        Args:
            credentials: headers of a request.
            client: address that it came from.
        """
        return await self._questions.may_write(_own(credentials), client)

    async def reachable(self) -> bool:
        """Whether CouchDB answers at all."""
        return await self._questions.answers()


def _socket(address: AddrInfoType) -> socket.socket:
    """A socket to CouchDB. What its answers wait in is the clients' many times over."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _AT_ONCE)
    return made


def _sent(parts: Sequence[Bytes]) -> _Data:
    """A body to be sent; a large one in pieces.

    What is in one piece the client library can send again, to a connection that CouchDB closed.
    """
    if sum(map(len, parts)) > LARGE:
        return pieces(parts)
    return b"".join(parts)


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer to the gateway itself; `UpstreamError` if it is no such answer."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            raise UpstreamError("CouchDB's answer is longer than any that is expected")
    return bytes(body)


async def _beginning(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The start of an answer's body, up to where it must stream, and whether that is all of it."""
    error = answer.status >= _ERROR
    length = answer.content_length
    if not error and length is not None and length > _SMALL:
        return b"", False
    limit = _LARGEST_ERROR if error else _SMALL
    body = bytearray()
    try:
        async with asyncio.timeout(None if error or length is not None else _FIRST_PIECES):
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > limit:
                    return bytes(body), False
    except TimeoutError:
        return bytes(body), False
    return bytes(body), True


def _to_upstream(request: web.Request) -> CIMultiDict[str]:
    headers = _without_hops(request.headers)
    for name in _ANSWERED_HERE:
        headers.popall(name, None)
    # CouchDB builds the Location of its answers with it.
    headers.setdefault("X-Forwarded-Host", request.host)
    # CouchDB takes the last address for the client's, and locks out by it who guesses passwords:
    # otherwise one who does through the gateway would lock out everybody else here.
    before = headers.popall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*before, request.remote or "unknown"])
    return headers


def _without_hops(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    dropped = {
        name.strip().lower()
        for value in headers.getall("Connection", ())
        for name in value.split(",")
    }
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) not in _HOP_BY_HOP and lower not in dropped
    )


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    json = "application/json"
    client = {"X-Forwarded-For": CLIENT.get()}
    return {**credentials_of(headers), **client, "Accept": json, "Content-Type": json}


def _no_answer(problem: Exception) -> UpstreamError:
    kind = UnreachableError if isinstance(problem, _NOT_CONNECTED) else UpstreamError
    return kind(f"CouchDB does not answer: {_told(problem)}")


def _told(problem: Exception) -> str:
    """A short cause; an exception's text may hold the URL."""
    if isinstance(problem, UnaskedError):
        return str(problem)
    cause = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    return getattr(cause, "strerror", None) or type(cause).__name__
