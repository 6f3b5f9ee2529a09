"""The database over HTTP: aiocouch for the server, its session for bulk requests.

aiocouch keeps the credentials, the connections and the time-outs, creates the database and reads
and writes design documents. Bulk requests go through its HTTP session as bytes, since its own bulk
operations compare every id with every other, encode and parse JSON several times, and do not tell
201 from 202.
"""

import json
import logging
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from traceback import clear_frames
from typing import Any

import aiocouch
import aiohttp
import msgspec
from aiocouch.exception import RemoteResponseError

from app.couchdb.answers import Entry, failure, read_documents, read_entries
from app.couchdb.design_documents import design_documents
from app.couchdb.errors import (
    DatabaseError,
    DatabaseMissing,
    Misconfigured,
    RequestRefused,
    RequestTooLarge,
    Unavailable,
)
from app.settings import DatabaseSettings
from app.settings.security import client_context
from app.storing.sink import Document

logger = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}
MISSING_RIGHT = ("401", "403")
SUCCESS = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
LONGEST_CONNECT = 10.0
"""Seconds to open a connection, when the time-out of a request leaves so many."""

SPARE_CONNECTIONS = 2
"""For `/status`, beside the requests in flight."""


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """The answer to one `_bulk_docs` request.

    Args:
        status: 201, or 202 when the write quorum was not met: written all the same.
        entries: One for each document, if CouchDB keeps its word; in any order.
    """

    status: int
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """What `/status` shows.

    Args:
        version: CouchDB's.
        documents: Documents in the database, design documents included.
        bytes: Size of its files.
    """

    version: str
    documents: int
    bytes: int


class Database:
    """One database on one CouchDB server. Call `connect` before anything else.

    Every method that sends a request raises `DatabaseError`.

    Args:
        settings: Address, credentials, time-outs.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.name = settings.name
        self.address = f"{settings.url}/{settings.name}"
        """For people; without credentials."""
        self.missing_design_documents: tuple[str, ...] = ()
        """Those that could not be created for want of a right."""
        self._settings = settings
        self._couchdb: aiocouch.CouchDB | None = None

    async def connect(self) -> None:
        """Set up the session. No request is sent yet."""
        settings = self._settings
        self._couchdb = aiocouch.CouchDB(
            settings.url,
            user=settings.user,
            password=settings.password.get_secret_value() if settings.password else None,
            connector=aiohttp.TCPConnector(
                limit=settings.requests_in_flight + SPARE_CONNECTIONS, ssl=self._tls()
            ),
            timeout=aiohttp.ClientTimeout(
                total=settings.request_timeout,
                sock_connect=min(LONGEST_CONNECT, settings.request_timeout),
            ),
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._couchdb is not None:
            await self._couchdb.close()
            self._couchdb = None

    async def prepare(self) -> None:
        """Find the database; create it and missing design documents where that is allowed.

        Existing design documents are left as they are. Design documents that may not be created
        are reported once and do not keep documents from being stored.

        Raises:
            DatabaseMissing: It does not exist and may not be created.
            DatabaseError: As with every request.
        """
        with _translated():
            database = await self._found_or_created()
        if self._settings.create:
            await self._create_design_documents(database)

    async def bulk(self, documents: Sequence[Document]) -> BulkAnswer:
        """Write documents that are new to the database, in one `_bulk_docs` request."""
        # Joined once, brackets included: the body is megabytes, and every copy of it counts.
        bodies = [document.body for document in documents]
        bodies[0] = b'{"docs":[' + bodies[0]
        bodies[-1] += b"]}"
        status, body = await self._post("_bulk_docs", b",".join(bodies))
        return BulkAnswer(status, read_entries(body))

    async def read_back(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The stored documents of these ids; missing and deleted ones are left out."""
        keys = msgspec.json.encode({"keys": ids})
        try:
            _, body = await self._post("_all_docs?include_docs=true", keys)
        except (RequestRefused, RequestTooLarge) as error:
            # No document was sent, so none is to blame.
            raise Unavailable(str(error), cause=error.cause) from None
        return read_documents(body)

    async def info(self) -> DatabaseInfo:
        """The server's version, and the database's size."""
        with _translated():
            server: dict[str, Any] = await self._server.info()
            about: dict[str, Any] = await self._endpoint._get()  # noqa: SLF001 - info() drops sizes
        return DatabaseInfo(
            version=str(server.get("version", "unknown")),
            documents=int(about.get("doc_count", 0)),
            bytes=int(about.get("sizes", {}).get("file", 0)),
        )

    @property
    def _server(self) -> aiocouch.CouchDB:
        if self._couchdb is None:
            raise RuntimeError("connect() first")
        return self._couchdb

    @property
    def _endpoint(self) -> aiocouch.Database:
        return aiocouch.Database(self._server, self.name)

    def _tls(self) -> ssl.SSLContext | bool:
        ca_file = self._settings.ca_file
        return client_context(ca_file) if ca_file else True

    async def _found_or_created(self) -> aiocouch.Database:
        try:
            return await self._server[self.name]
        except aiocouch.NotFoundError:
            if not self._settings.create:
                raise DatabaseMissing("the database does not exist", cause="404") from None
        try:
            created = await self._server.create(self.name, exists_ok=True)
        except (aiocouch.UnauthorizedError, aiocouch.ForbiddenError):
            raise DatabaseMissing(
                "the database does not exist and only an administrator may create it", cause="404"
            ) from None
        logger.info("%s: created", self.address)
        return created

    async def _create_design_documents(self, database: aiocouch.Database) -> None:
        refused = []
        for name, fields in design_documents().items():
            try:
                with _translated():
                    await _create_design_document(database, name, fields)
            except Misconfigured as error:
                if error.cause not in MISSING_RIGHT:
                    raise
                refused.append(name)
        if refused and not self.missing_design_documents:
            logger.error(
                "%s: the design documents %s are missing and only an administrator of the database "
                "may create them; documents are stored, but OpenWhisk cannot list them",
                self.address,
                ", ".join(refused),
            )
        self.missing_design_documents = tuple(refused)

    async def _post(self, path: str, data: bytes) -> tuple[int, bytes]:
        remote = self._server._server  # noqa: SLF001 - aiocouch has no public way to send bytes
        url = f"{remote._server}{self._endpoint.endpoint}/{path}"  # noqa: SLF001
        with _connected():
            async with remote._http_session.post(  # noqa: SLF001
                url, data=BytesIO(data), headers=JSON, allow_redirects=False
            ) as answer:
                body = await answer.read()
                if answer.status not in SUCCESS:
                    raise failure(answer.status, answer.headers, body)
                return answer.status, body


async def _create_design_document(
    database: aiocouch.Database, name: str, fields: dict[str, Any]
) -> None:
    document = await database.design_doc(name, exists_ok=True)
    if document.exists:
        return
    # save() would send the id without "_design/", which some servers take at its word.
    content = {"_id": f"_design/{name}", **fields}
    try:
        await document._put(content)  # noqa: SLF001 - see above
    except aiocouch.ConflictError:
        return  # someone else was faster: theirs stays
    logger.info("%s: created the design document %s", database.id, name)


@contextmanager
def _connected() -> Iterator[None]:
    """Turn what happens to connections into `DatabaseError`."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        _let_go(error)
        raise _network_error(error) from None


def _let_go(error: BaseException) -> None:
    """Free what the frames hold that an error has passed through, the request's body above all.

    aiohttp's refer to the error that refers to them, so that they would be left to the cycle
    collector, which the worker seldom runs: two megabytes for each attempt of an outage.
    """
    passed: BaseException | None = error
    while passed is not None:
        clear_frames(passed.__traceback__)
        passed = passed.__cause__ or passed.__context__


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what aiocouch raises into `DatabaseError`."""
    with _connected():
        try:
            yield
        # These first: aiocouch derives them from OSError, ValueError and KeyError.
        except aiocouch.UnauthorizedError:
            raise Misconfigured("HTTP 401, no or wrong credentials", cause="401") from None
        except aiocouch.ForbiddenError:
            raise Misconfigured("HTTP 403, the user lacks a right", cause="403") from None
        except aiocouch.NotFoundError:
            raise DatabaseMissing("the database does not exist", cause="404") from None
        except aiocouch.BadRequestError as error:
            raise Misconfigured(f"HTTP 400, {error}", cause="400") from None
        except json.JSONDecodeError:
            raise Unavailable("the answer is not CouchDB's JSON", cause="not-json") from None


def _network_error(error: Exception) -> DatabaseError:  # noqa: PLR0911 - one for each verdict
    match error:
        case RemoteResponseError(status=404 | 405):
            return Misconfigured(f"HTTP {error.status}, no CouchDB at this address", cause="404")
        case RemoteResponseError():
            return Unavailable(f"HTTP {error.status}, {error.reason}", cause=str(error.status))
        case aiohttp.ClientResponseError():
            return Unavailable("the answer is not CouchDB's JSON", cause="not-json")
        case aiohttp.ClientConnectorCertificateError():
            return Misconfigured("the server's certificate is not trusted", cause="certificate")
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            return Unavailable(f"no connection: {error}", cause="connection", maybe_written=False)
        case TimeoutError():
            return Unavailable("no answer in time", cause="timeout")
        case _:
            name = type(error).__name__
            return Unavailable(f"the connection was cut ({name})", cause="cut")
