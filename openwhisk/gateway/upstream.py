"""The real CouchDB behind the gateway: what passes through, and the few requests of our own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import AddrInfoType, web
from aiohttp.http import HttpVersion11
from multidict import CIMultiDict
from yarl import URL

from app.process.unasked import Connector, UnaskedError
from app.settings.security import client_context
from openwhisk.gateway import answers
from openwhisk.gateway.credentials import Judgement, Refusal, credentials_of, for_the_client
from openwhisk.gateway.headers import sendable_reason, without_hops
from openwhisk.gateway.large import LARGE, Bytes, pieces
from openwhisk.gateway.questions import MAY_PASS, Questions, session_of
from openwhisk.gateway.records import bulk_body

LONGEST_LINE = 65_536
"""Most bytes of a request line or header in both directions; queries of views may have long `keys`.
"""

CLIENT: ContextVar[str] = ContextVar("CLIENT", default="unknown")
"""The address of the client on whose behalf CouchDB is asked. CouchDB counts wrong passwords by
address, and the gateway and the persister may share one.
"""

_ANSWERED_HERE = frozenset({"host", "expect"})
"""Not passed on: the client library sets the host, and `100 Continue` was already sent."""

_SMALL = 64 * 1024
"""Most bytes of a successful answer that is sent in one piece."""

_LARGEST_ERROR = 1024 * 1024
"""Most bytes of an error that is sent in one piece; CouchDB's have some hundred."""

_LARGEST_ENTRY = 4096
"""Most bytes per document of a `_bulk_docs` answer; CouchDB's have some hundred."""

_LARGEST_ANSWER = 64 * 1024 * 1024
"""Most bytes of a document that is read back; a request was allowed to have as many."""

_LARGEST_TOGETHER = 4 * 1024 * 1024
"""Most bytes of several documents that are read back together: some ms to find where each ends."""

_AT_ONCE = 64 * 1024
"""Bytes of an answer that the kernel buffers, which limits a single read to about twice as much. By
default it buffers megabytes, of which uvloop reads 256 KB at a time.
"""

_UNREAD = 16 * 1024
"""Half of the bytes of an answer that aiohttp buffers for a client that does not read."""

_FIRST_PIECES = 0.05
"""Seconds for an answer of unknown length to end; after that it counts as a feed or as large, and
streams.
"""

_ERROR = 300
"""The lowest status that OpenWhisk's client takes for an error."""

_CLIENT_ERROR = 400

_REFUSED = (401, 403)

_BULK_TIMEOUT = 60.0
"""Seconds for a `_bulk_docs` request of our own."""


_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


_Data = bytes | AsyncIterator[bytes] | AsyncIterator[memoryview] | None


_NULL = msgspec.Raw(b"null")


class _Row(msgspec.Struct):
    id: str | None = None
    doc: msgspec.Raw = _NULL
    error: str | None = None


class _Rows(msgspec.Struct):
    rows: list[_Row]


_rows = msgspec.json.Decoder(_Rows).decode
_documents = msgspec.json.Decoder(list[msgspec.Raw]).decode

_UNREADABLE = (ValueError, RecursionError)
"""Errors from reading an answer; msgspec's and Unicode's errors are `ValueError`s."""


class UpstreamError(Exception):
    """CouchDB did not answer, or the answer is not CouchDB's."""


class TooLongError(UpstreamError):
    """CouchDB's answer is longer than any that is expected."""


class UnreachableError(UpstreamError):
    """No connection to CouchDB; nothing was sent, so it is safe to try again."""


class RefusedError(Exception):
    """CouchDB refuses a request's credentials; asking again would count as a further attempt.

    Attributes:
        refusal: CouchDB's answer, for the client.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"status {refusal.status}")
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """CouchDB's answer to a `_bulk_docs` request.

    Attributes:
        status: the HTTP status.
        body: the body of the answer.
        documents: one entry per document, in order; None if it refused the request.
    """

    status: int
    body: bytes
    documents: list[bytes] | None


class Upstream:
    """Talks to CouchDB; credentials are always those of the client.

    Args:
        url: URL of CouchDB, without credentials.
        database: the name of the activations database.
        connect_timeout: seconds to connect, and to answer the gateway's own check.
        ca_file: file of the certificate authority for https, if it is not one of the system's.
        trusted: users whose activations need no check by validation functions. If any are given,
            CouchDB checks everybody else's.
        validation_ttl: seconds to remember whether there are validation functions.
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
            # No total limit, because a long poll may be silent for as long as its client likes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            read_bufsize=_UNREAD,
        )
        # Redirects are left to the client, and the gateway itself asks only this server.
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
        """Pass a request through, streaming its body, and its answer unless that is small.

        Errors and small answers are sent in one piece, as CouchDB does: OpenWhisk's client reads
        the body of an error twice, and the second time finds nothing if it came after the headers.

        Args:
            request: the client's request.
            body: the body as received, if it has been read already.

        Raises:
            UnreachableError: CouchDB is away; nothing of the body was read.
            ConnectionError: CouchDB or the client disconnected during the answer.
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
            # aiohttp takes the largest possible length for no body. CouchDB would wait for it, and
            # take the next request on the connection, perhaps another client's, for its beginning.
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
                headers = without_hops(answer.headers)
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
                if request.version < HttpVersion11 and "Content-Length" not in headers:
                    response.force_close()  # its end is where the answer ends
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
                return answers.none(request)  # breaks the client's connection in turn
            raise ConnectionAbortedError("the answer of CouchDB broke off") from problem

    async def write(
        self, documents: Sequence[bytes | memoryview], headers: Mapping[str, str]
    ) -> BulkAnswer:
        """Write documents with the credentials in `headers`.

        Raises:
            UnreachableError: CouchDB is away.
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
    ) -> list[msgspec.Raw | None]:
        """Read documents in order; None for one that does not exist.

        They are not decoded, because that takes long for all of them in one go.

        Raises:
            TooLongError: they are too large to be read together.
            UpstreamError: no answer, or one that is not CouchDB's.
            RefusedError: CouchDB refuses the credentials.
        """
        most = _LARGEST_TOGETHER if len(ids) > 1 else _LARGEST_ANSWER
        rows = await self._rows("?include_docs=true", ids, headers, most)
        if len(rows) != len(ids):
            raise UpstreamError(f"{len(rows)} rows for {len(ids)} documents")
        return [None if row.doc == _NULL else row.doc for row in rows]

    async def stored(self, ids: Sequence[str], headers: Mapping[str, str]) -> frozenset[str]:
        """Those of these documents that exist, or existed: deleted ones are among them.

        Raises:
            UpstreamError: no answer, or one that is not CouchDB's.
            RefusedError: CouchDB refuses the credentials.
        """
        rows = await self._rows("", ids, headers, _LARGEST_ANSWER)
        return frozenset(row.id for row in rows if row.id and not row.error).intersection(ids)

    async def _rows(
        self, query: str, ids: Sequence[str], headers: Mapping[str, str], most: int
    ) -> list[_Row]:
        """The rows of `_all_docs` about these documents."""
        url = f"{self._database}/_all_docs{query}"
        body = msgspec.json.encode({"keys": ids})
        status, body, _ = await self._own_request("POST", url, headers, body, most=most)
        if status != 200:  # noqa: PLR2004 - OK
            raise UpstreamError(f"CouchDB answers {status}")
        try:
            return _rows(body).rows
        except _UNREADABLE as problem:
            raise UpstreamError("the answer to _all_docs is not CouchDB's JSON") from problem

    async def missing(
        self, document_id: str, headers: Mapping[str, str]
    ) -> tuple[bool | None, dict[str, str]]:
        """Whether a document never existed, and what CouchDB says to the client in headers.

        Returns:
            None for the first if CouchDB does not say.

        Raises:
            UpstreamError: no answer.
            RefusedError: CouchDB refuses the credentials.
        """
        url = f"{self._database}/{quote(document_id, safe='')}"
        status, body, said = await self._own_request("GET", url, headers, most=0)
        if status == 404:  # noqa: PLR2004 - not found
            # For a deleted one it says `deleted` instead.
            return b'"missing"' in body, said
        return False if status == 200 else None, said  # noqa: PLR2004 - OK

    async def administers(self, headers: Mapping[str, str]) -> bool:
        """Whether CouchDB calls a client a server admin: nobody else drops or creates databases.

        Not if it does not say, as through a proxy that lets only the database's own paths through.

        Raises:
            UpstreamError: no answer, or none for now.
            RefusedError: CouchDB refuses the credentials.
        """
        url = f"{self._url}/_session"
        try:
            status, body, _ = await self._own_request("GET", url, headers, most=_LARGEST_ERROR)
        except RefusedError as refused:
            if refused.refusal.status == 401:  # noqa: PLR2004 - unauthorized
                raise
            return False
        if status in MAY_PASS or status >= 500:  # noqa: PLR2004 - server errors
            raise UpstreamError(f"CouchDB answers {status}")
        if status != 200:  # noqa: PLR2004 - OK
            return False
        try:
            return b'"_admin"' in bytes(session_of(body).userCtx.roles)
        except _UNREADABLE:
            return False

    async def _own_request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        most: int,
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status and body of an answer, and its headers that are for the client.

        Reads at most `most` bytes of a good one, none if 0.
        """
        try:
            async with self._request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=_own(headers),
                timeout=aiohttp.ClientTimeout(total=_BULK_TIMEOUT),
            ) as answer:
                said = for_the_client(answer.headers)
                if answer.status < _ERROR:
                    return answer.status, await _read(answer, most) if most else b"", said
                body = await _read(answer, _LARGEST_ERROR)
                if answer.status in _REFUSED:
                    raise RefusedError(Refusal(answer.status, body, said))
                return answer.status, body, said
        except (aiohttp.ClientError, OSError) as problem:
            raise _no_answer(problem) from problem

    async def ask(self, credentials: Mapping[str, str], client: str | None) -> Judgement:
        """Whether CouchDB lets these headers write to the activations database.

        Args:
            credentials: the headers of a request.
            client: the client's address; None to ask for the gateway itself.
        """
        return await self._questions.may_write(_own(credentials), client)

    async def reachable(self) -> bool:
        """Whether CouchDB answers at all."""
        return await self._questions.answers()


def _socket(address: AddrInfoType) -> socket.socket:
    """A socket to CouchDB with a small receive buffer, because there is one per client."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _AT_ONCE)
    return made


def _sent(parts: Sequence[Bytes]) -> _Data:
    """A body to send, in pieces if it is large.

    A body in one piece can be sent again by the client library, if CouchDB has closed the
    connection.
    """
    if sum(map(len, parts)) > LARGE:
        return pieces(parts)
    return b"".join(parts)


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The body of an answer to the gateway itself; raises `TooLongError`."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            raise TooLongError("CouchDB's answer is longer than any that is expected")
    return bytes(body)


async def _beginning(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The beginning of an answer's body, up to where it has to stream, and whether that is all."""
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
    headers = without_hops(request.headers)
    for name in _ANSWERED_HERE:
        headers.popall(name, None)
    # CouchDB uses it to build the Location header of its answers.
    headers.setdefault("X-Forwarded-Host", request.host)
    # CouchDB takes the last address for the client's and locks out addresses that guess passwords.
    # Without it, somebody who guesses through the gateway would lock out everybody else here.
    before = headers.popall("X-Forwarded-For", [])
    headers["X-Forwarded-For"] = ", ".join([*before, request.remote or "unknown"])
    return headers


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    json = "application/json"
    client = {"X-Forwarded-For": CLIENT.get()}
    return {**credentials_of(headers), **client, "Accept": json, "Content-Type": json}


def _no_answer(problem: Exception) -> UpstreamError:
    kind = UnreachableError if isinstance(problem, _NOT_CONNECTED) else UpstreamError
    return kind(f"CouchDB does not answer: {_told(problem)}")


def _told(problem: Exception) -> str:
    """A short cause, because an exception's text may contain the URL."""
    if isinstance(problem, UnaskedError):
        return str(problem)
    cause = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    return getattr(cause, "strerror", None) or type(cause).__name__
