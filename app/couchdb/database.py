"""The database over HTTP.

aiocouch holds the session and its connections. Requests go through that session as bytes, with our
own headers: aiocouch's bulk operations compare every id with every other and do not tell 201 from
202, it never re-reads the password, and it drops the reasons that CouchDB gives.
"""

import asyncio
import hashlib
import json
import logging
import re
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from io import BytesIO
from traceback import clear_frames
from typing import Any, TypeVar
from urllib.parse import quote

import aiocouch
import aiohttp
import msgspec
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr

from app.couchdb.answers import (
    Entry,
    failure,
    read_documents,
    read_entries,
    read_ids,
    read_object,
)
from app.couchdb.design_documents import design_documents, wanted
from app.couchdb.errors import (
    AnswerTooLarge,
    DatabaseError,
    DatabaseMissing,
    EntriesFailed,
    Misconfigured,
    PartlyStored,
    RequestRefused,
    RequestTooLarge,
    Unavailable,
)
from app.couchdb.network import network_error
from app.couchdb.session import Session
from app.couchdb.turns import MOST as MOST_ATTEMPTS
from app.process.printable import shown
from app.process.unasked import Connector
from app.settings import DatabaseSettings
from app.settings.base import secret_from
from app.settings.security import client_context
from app.storing.sink import Document
from app.tracing import Tracing

logger = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}
MISSING_RIGHT = ("401", "403")

RIGHTS = ("forbidden", "unauthorized")
"""Errors of entries with which a validation function refuses a user, or a document."""

SERVER_ADMIN = "_admin"
"""The role of the administrators of a CouchDB server, who administer every database."""

UNMARKED = (*MISSING_RIGHT, "400", "404", "405", "501", "redirect")
"""Causes that concern only the path of the mark, once the database itself has answered."""

SUCCESS = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
LONGEST_CONNECT = 10.0
"""Seconds to open a connection, unless the request times out earlier."""

SHORTEST_SECRET = 6
"""Fewest characters of a password to cut out of answers; a shorter one may be part of plain words.
"""

LARGEST_ANSWER = 64 * 1024 * 1024
"""Most bytes of an answer. Only documents that are read back come near it, and are then read in two
halves.
"""

LARGE_ANSWER = 64 * 1024
"""Bytes above which an answer is parsed in a thread: one of very many levels takes a second for
each megabyte.
"""

SPARE_CONNECTIONS = 8 + MOST_ATTEMPTS
"""Connections for probes and diagnoses, in addition to those for requests in flight."""

PROBE_ID = "persister-probe"
"""The id of the probe, a document that is deleted from the start: no view and no list ever shows
it, and yet every validation function judges it.
"""

BARE_PROBE = json.dumps({"_id": PROBE_ID, "_deleted": True}).encode()

PASSES_PROBE = ("conflict", "not_found")
"""The expected answers once the probe exists: CouchDB validates it, then writes nothing."""

MARK = "_local/activation-persister"
"""A document that tells this database from a later one with the same name: CouchDB's
`instance_start_time` counts only whole seconds. Local documents are never replicated, so a copy
gets a mark of its own, and no view, list or validation function sees them.
"""

LEARNED = "_local/activation-persister-probe"
"""A document with what a worker has learned about refusals of the probe, for commands, which store
nothing themselves.
"""

LONGEST_MARK, LONGEST_VERSION = 64, 64
"""Characters."""

ONLY_DESIGN = '_all_docs?startkey="_design/"&endkey="_design0"'

LARGEST_COUNT = 2**63
"""Largest plausible number of bytes or documents; JSON may have thousands of digits."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class BulkAnswer:
    """The answer to one `_bulk_docs` request.

    Args:
        status: 201; 202 if the write quorum was not met, although all is written; 417 or 500 if
            some documents were not written.
        entries: one for each document, as long as CouchDB keeps its word, in any order.
    """

    status: int
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """What `/status` shows.

    Args:
        version: CouchDB's version.
        documents: the number of documents, including design documents.
        bytes: the size of the database's files.
        ahead: seconds that the server's clock is ahead of ours; None if it does not say.
    """

    version: str
    documents: int
    bytes: int
    ahead: float | None = None


class Database:
    """One database on one CouchDB server. Call `connect` before anything else.

    Every method that sends a request raises `DatabaseError`.

    Args:
        settings: address, credentials and time-outs.
        tracing: traces requests.
    """

    def __init__(self, settings: DatabaseSettings, tracing: Tracing | None = None) -> None:
        self._tracing = tracing or Tracing()
        self.name = settings.name
        self.address = f"{settings.url}/{settings.name}"
        """The address without credentials, for people."""
        self.identity: bytes | None = None
        """Identifies the database; changes when it is dropped and re-created. None until it has
        answered.
        """
        self.missing_design_documents: tuple[str, ...] = ()
        """The design documents that could not be created because a right is missing."""
        self._settings = settings
        self._password = settings.password
        self._couchdb: aiocouch.CouchDB | None = None
        self._path = f"/{quote(settings.name, safe='')}"
        self._probe_is_there = False
        self.usual_refusal = ""
        """How validation functions refuse the probe although they accept documents; they may forbid
        deletions, for example, or ids without a slash.
        """
        self._marked = ""
        self._just_marked = False
        """Whether this worker has written the mark, which another may have overwritten since."""
        self._made = ""
        self.looks = 0
        """How often the database was identified."""
        self._session = Session(settings.user, self._secret, self._post_session)
        self._date: str | None = None

    async def connect(self) -> None:
        """Set up the session; sends no request yet."""
        settings = self._settings
        self._couchdb = aiocouch.CouchDB(
            settings.url,
            connector=Connector(
                limit=settings.requests_in_flight + SPARE_CONNECTIONS, ssl=self._tls()
            ),
            timeout=self._timeout(None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._tracing.of_requests(),
        )

    async def close(self) -> None:
        """Close the session and its connections."""
        if self._couchdb is not None:
            await self._couchdb.close()
            self._couchdb = None

    def read_credentials(self) -> bool:
        """Read the password file again; returns whether the password has changed."""
        file = self._settings.password_file
        if file is None:
            return False
        try:
            password = secret_from(file, None, "PERSISTER_COUCHDB_PASSWORD")
        except ValueError as error:
            logger.warning("%s; the password read before is used on", error)
            return False
        changed = password != self._password
        if changed:
            logger.info("%s: another password was read from %s", self.address, file)
        self._password = password
        return changed

    async def prepare(self) -> bool:
        """Find the database; creates it and missing design documents if that is allowed.

        Existing design documents are left as they are. Those that may not be created are logged
        once, and do not prevent documents from being stored.

        Returns:
            Whether the database was created.

        Raises:
            DatabaseMissing: the database does not exist and may not be created.
            DatabaseError: as in every request.
        """
        try:
            about, created = await self._found_or_created()
        except Misconfigured as error:
            raise await self._more_precisely(error) from None
        _check_partitions(about)
        await self._mark()
        try:
            await self.read_back([])
        except Misconfigured as error:
            cause = "reading" if error.cause in MISSING_RIGHT else error.cause
            raise Misconfigured(f"documents cannot be read: {error}", cause=cause) from None
        await self.restore_design_documents()
        # Done last: by now, a worker that started at the same time has written its mark, too.
        await self._identify(about)
        return created

    async def look(self) -> bool:
        """Identify the database again; returns False if it is another one."""
        before = self.identity
        await self._identify(await self._about())
        return before in (None, self.identity)

    async def restore_design_documents(self) -> None:
        """Create OpenWhisk's design documents that are missing, if that is allowed."""
        if self._settings.create:
            await self._create_design_documents(await self.missing())

    async def bulk(
        self,
        documents: Sequence[Document],
        timeout: float | None = None,  # noqa: ASYNC109 - aiohttp's own
    ) -> BulkAnswer:
        """Write documents in one `_bulk_docs` request.

        If all documents are refused because they are nobody's, as with a cookie that is no longer
        valid, they are sent once more with new credentials.

        Args:
            documents: at least one; each is new, or has the `_rev` that it replaces.
            timeout: in seconds; None for the configured one.
        """
        # Joined only once, brackets included, because every copy of a megabyte costs time.
        bodies = [document.body for document in documents]
        bodies[0] = b'{"docs":[' + bodies[0]
        bodies[-1] += b"]}"
        data = b",".join(bodies)
        answer, headers = await self._bulk(data, timeout)
        if _may_be_nobodys(answer.entries) and await self._is_nobodys(headers):
            answer, _ = await self._bulk(data, timeout)
        return answer

    async def _bulk(
        self,
        data: bytes,
        timeout: float | None,  # noqa: ASYNC109 - aiohttp's own
    ) -> tuple[BulkAnswer, dict[str, str]]:
        """Write documents; returns the credentials of the request, too."""
        headers: dict[str, str] = {}
        try:
            status, body, headers = await self._signed(
                "POST", f"{self._path}/_bulk_docs", data, timeout
            )
        except PartlyStored as error:
            status, body = int(error.cause), error.body
        entries, secrets = self._read(read_entries, body), self._secrets()
        for entry in entries:
            if entry.reason or entry.error:
                _cut_entry(entry, secrets)
        return BulkAnswer(status, entries), headers

    async def _is_nobodys(self, headers: dict[str, str]) -> bool:
        """Whether CouchDB takes a request with these credentials for an anonymous one.

        The next request has others then.
        """
        if "Cookie" not in headers:
            return False
        try:
            _, body = await self._sent("GET", "/_session", None, headers, None)
            user = _part(self._read(read_object, body), "userCtx")
        except DatabaseError:  # it says nothing of them
            return False
        if user.get("name", "") is not None:
            return False
        self._session.rejected(headers)
        self.read_credentials()
        return True

    async def read_back(self, ids: Sequence[str], largest: int | None = None) -> dict[str, bytes]:
        """The stored documents with these ids, without missing and deleted ones.

        Args:
            ids: of the documents.
            largest: bytes of an answer that has more than one document; `LARGEST_ANSWER` by
                default. When there are more, fewer documents are asked for at a time.
        """
        try:
            return await self.read_together(ids, largest)
        except AnswerTooLarge:
            if len(ids) <= 1:
                raise
        half = len(ids) // 2
        first, second = ids[:half], ids[half:]
        return await self.read_back(first, largest) | await self.read_back(second, largest)

    async def read_together(
        self, ids: Sequence[str], largest: int | None = None
    ) -> dict[str, bytes]:
        """As `read_back`, in one request.

        Raises:
            AnswerTooLarge: together, they are larger.
        """
        keys = msgspec.json.encode({"keys": ids})
        path = f"{self._path}/_all_docs?include_docs=true"
        several = len(ids) > 1
        try:
            _, body = await self._request("POST", path, keys, largest=largest if several else None)
        except (RequestRefused, RequestTooLarge) as error:
            # No document was sent, so no document is to blame.
            raise Unavailable(str(error), cause=error.cause) from None
        read = partial(read_documents, ids=ids)
        if len(body) > LARGE_ANSWER:
            return await asyncio.to_thread(self._read, read, body)
        return self._read(read, body)

    async def probe(self, known_good: Document | None) -> bool:
        """Whether the database accepts a document that is known to be good.

        The same deleted document is sent every time. CouchDB involves its disk, its shards and
        every validation function before it answers `conflict`, so nothing is written after the
        first time. (A `_local` document would not do: no validation function sees it.)

        Args:
            known_good: a stored document, whose fields the probe gets; None for a probe without
                fields.
        """
        refusal = await self.refusal_of_probe(known_good)
        return refusal is None or str(refusal) == self.usual_refusal

    async def refusal_of_probe(self, known_good: Document | None) -> EntriesFailed | None:
        """Why the database does not accept the probe; None if it does."""
        if not self._probe_is_there:
            # Create it without the record's fields, which would otherwise be kept in it.
            refusal = _refusal(await self._probed(BARE_PROBE))
            if refusal is not None:
                return refusal
            self._probe_is_there = True
        return None if known_good is None else _refusal(await self._probed(_as_probe(known_good)))

    async def check_takes_documents(self) -> None:
        """Write the probe without a record's fields.

        Raises:
            EntriesFailed: the probe is refused, and not in the way in which it is refused while
                documents are stored.
        """
        refusal = _refusal(await self._probed(BARE_PROBE))
        if refusal is not None and str(refusal) != await self.learned_refusal():
            raise refusal

    async def learned_refusal(self) -> str:
        """How the probe is refused while documents are stored, as a worker has last noted it."""
        try:
            _, body = await self._request("GET", f"{self._path}/{LEARNED}")
        except DatabaseError as error:
            if error.cause not in UNMARKED:
                raise
            return ""
        refusal = self._read(read_object, body).get("refusal", "")
        return refusal if isinstance(refusal, str) else ""

    async def learn_refusal(self, refusal: str) -> None:
        """Note, here and in the database, how the probe is refused while documents are stored."""
        self.usual_refusal = refusal
        try:
            noted = msgspec.json.encode({"refusal": refusal})
            await self._request("PUT", f"{self._path}/{LEARNED}", noted)
        except DatabaseError as error:
            # CouchDB 3 takes the note without the revision of the one before; others may not.
            if error.cause not in (*UNMARKED, "409"):
                raise

    async def ask(
        self, method: str, path: str, body: bytes | None = None, *, read: Callable[[bytes], Found]
    ) -> Found:
        """Send one request to a path below the database.

        Args:
            method: the HTTP method.
            path: the path below the database, with its query.
            body: a JSON body, or None.
            read: parses the body of the answer; raises `DatabaseError` if it is not CouchDB's.

        Returns:
            What `read` returned.
        """
        _, answer = await self._request(method, f"{self._path}/{path}", body)
        return self._read(read, answer)

    async def _probed(self, body: bytes) -> Entry:
        entries = (await self.bulk([Document(PROBE_ID, body)])).entries
        return entries[0] if len(entries) == 1 else Entry()

    async def check_right_to_write(self) -> None:
        """Send an empty bulk request, which CouchDB refuses to users who may only read.

        Raises:
            Misconfigured: the right is missing.
            Unavailable: the answer is not CouchDB's, whatever its status is.
        """
        _, body = await self._request("POST", f"{self._path}/_bulk_docs", b'{"docs":[]}')
        entries = self._read(read_entries, body)
        if entries:
            raise Unavailable(
                f"the answer to a request without documents speaks of {len(entries)}: is a proxy "
                "answering in CouchDB's place?",
                cause="not-json",
            )

    async def missing(self) -> list[str]:
        """The names of OpenWhisk's design documents that are missing."""
        _, body = await self._request("GET", f"{self._path}/{ONLY_DESIGN}")
        return wanted(self._read(read_ids, body))

    async def administers(self) -> bool | None:
        """Whether the user may create design documents; None if the database does not tell."""
        try:
            _, body = await self._request("GET", "/_session")
            user = self._read(read_object, body).get("userCtx")
            _, body = await self._request("GET", f"{self._path}/_security")
            admins = _part(self._read(read_object, body), "admins")
        except DatabaseError:
            return None
        if not isinstance(user, dict):
            return None
        roles, names = _list(admins, "roles"), _list(admins, "names")
        return user.get("name") in names or any(
            role == SERVER_ADMIN or role in roles for role in _list(user, "roles")
        )

    async def info(self) -> DatabaseInfo:
        """The server's version, as far as it is told, and the database's size.

        Raises:
            DatabaseError: it does not answer, or is none that activations can be in.
        """
        about = await self._about()
        _check_partitions(about)
        ahead = _ahead(self._date)
        try:
            _, body = await self._request("GET", "/")
            server = self._read(read_object, body)
        except DatabaseError:  # a proxy may let the database's own paths through, and no others
            server = {}
        return DatabaseInfo(
            version=self._shown(server.get("version", "of unknown version")),
            documents=_count(about.get("doc_count")),
            bytes=_count(_part(about, "sizes").get("file")),
            ahead=ahead,
        )

    def _tls(self) -> ssl.SSLContext | bool:
        ca_file = self._settings.ca_file
        return client_context(ca_file) if ca_file else True

    def _timeout(self, seconds: float | None) -> aiohttp.ClientTimeout:
        total = min(seconds or self._settings.request_timeout, self._settings.request_timeout)
        return aiohttp.ClientTimeout(total=total, sock_connect=min(LONGEST_CONNECT, total))

    async def _about(self) -> dict[str, Any]:
        _, body = await self._request("GET", self._path)
        about = self._read(read_object, body)
        if "doc_count" not in about:
            raise Misconfigured(
                "the address answers with JSON, and it is not CouchDB's", cause="not-couchdb"
            )
        return about

    async def _identify(self, about: dict[str, Any]) -> None:
        made = shown(about.get("instance_start_time", ""))
        raced = self._just_marked and made == self._made
        self._just_marked = self._just_marked and self.identity is None
        found = hashlib.sha256(f"{self.name}\0{made}\0{await self._mark()}".encode()).digest()
        if self.identity not in (None, found) and raced:
            logger.info("%s: another worker has marked it as well", self.address)
        elif self.identity not in (None, found):
            logger.warning(
                "%s: another database is there under this name; it was dropped and re-created, or "
                "put in the place of the one before",
                self.address,
            )
            self._probe_is_there, self.usual_refusal = False, ""
        self.identity, self._made = found, made
        self.looks += 1

    @property
    def marked(self) -> bool:
        """Whether its identity distinguishes it from every other database."""
        return bool(self._marked)

    async def _mark(self) -> str:
        """The database's mark, which is written if it is missing.

        If two workers find no mark, both write one, and the last one stays. If it cannot be read or
        written (a right is missing, or a proxy lets only some paths through), the last known one is
        used, which is empty at first.
        """
        path = f"{self._path}/{MARK}"
        try:
            try:
                _, body = await self._request("GET", path)
            except DatabaseMissing:  # perhaps only the mark is missing: writing it will show
                mark = msgspec.json.encode({"mark": secrets.token_hex(16)})
                await self._request("PUT", path, mark)
                self._just_marked = True
                _, body = await self._request("GET", path)
        except DatabaseMissing:
            raise
        except DatabaseError as error:
            if error.cause not in UNMARKED:
                raise
            return self._marked
        mark = self._read(read_object, body).get("mark", "")
        self._marked = shown(mark, longest=LONGEST_MARK)
        return self._marked

    async def _found_or_created(self) -> tuple[dict[str, Any], bool]:
        try:
            return await self._about(), False
        except DatabaseMissing:
            if not self._settings.create:
                raise DatabaseMissing("the database does not exist", cause="404") from None
        try:
            await self._request("PUT", self._path)
        except Misconfigured as error:
            if error.cause not in MISSING_RIGHT:
                raise
            raise DatabaseMissing(
                "the database does not exist and only an administrator may create it", cause="404"
            ) from None
        except Unavailable as error:
            if error.cause != "412":  # another worker was faster
                raise
            return await self._about(), False
        logger.info("%s: created", self.address)
        return await self._about(), True

    async def _more_precisely(self, error: Misconfigured) -> Misconfigured:
        """Distinguish a user who may only write from one who may do nothing (both get 403)."""
        if error.cause != "403":
            return error
        try:
            await self.check_right_to_write()
        except DatabaseError:
            return error
        return Misconfigured(f"documents can be written, but not read: {error}", cause="reading")

    async def _create_design_documents(self, names: Sequence[str]) -> None:
        refused = []
        for name in names:
            content = {"_id": f"_design/{name}", **design_documents()[name]}
            path = f"{self._path}/_design/{quote(name, safe='')}"
            try:
                await self._request("PUT", path, msgspec.json.encode(content))
            except Misconfigured as error:
                if error.cause not in MISSING_RIGHT:
                    raise
                refused.append(name)
            except Unavailable as error:
                if error.cause != "409":  # another worker was faster, and its document stays
                    raise
            else:
                logger.info("%s: created the design document %s", self.address, name)
        if refused and not self.missing_design_documents:
            logger.error(
                "%s: the design documents %s are missing and only an administrator of the database "
                "may create them; documents are stored, but OpenWhisk cannot list them",
                self.address,
                ", ".join(refused),
            )
        self.missing_design_documents = tuple(refused)

    async def _request(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - aiohttp's own
        *,
        largest: int | None = None,
    ) -> tuple[int, bytes]:
        status, body, _ = await self._signed(method, path, data, timeout, largest=largest)
        return status, body

    async def _signed(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - aiohttp's own
        *,
        largest: int | None = None,
    ) -> tuple[int, bytes, dict[str, str]]:
        """The status and the body of an answer, and the credentials that the request had."""
        if method == "PUT":  # 401 may mean that only another user may do this
            headers = self._session.basic()
            return *await self._sent(method, path, data, headers, timeout, largest=largest), headers
        asked = self._session.asked
        while True:
            headers = await self._session.headers(asked)
            try:
                answer = await self._sent(method, path, data, headers, timeout, largest=largest)
            except Misconfigured as error:
                if error.cause != "401" or not self._session.rejected(headers):
                    raise
                self.read_credentials()
            else:
                self._session.worked(headers)
                return *answer, headers

    async def _sent(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: dict[str, str],
        timeout: float | None,  # noqa: ASYNC109 - aiohttp's own
        *,
        largest: int | None = None,
    ) -> tuple[int, bytes]:
        async with self._answered(method, path, data, headers, timeout, largest=largest) as (
            answer,
            body,
        ):
            return answer.status, body

    async def _post_session(self, body: bytes, headers: dict[str, str]) -> CIMultiDictProxy[str]:
        async with self._answered("POST", "/_session", body, headers, None) as (answer, _):
            return answer.headers

    @asynccontextmanager
    async def _answered(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: dict[str, str],
        timeout: float | None,  # noqa: ASYNC109 - aiohttp's own
        *,
        largest: int | None = None,
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, bytes]]:
        if self._couchdb is None:
            raise RuntimeError("connect() first")
        remote = self._couchdb._server  # noqa: SLF001 - aiocouch has no public way to send bytes
        with _connected():
            async with remote._http_session.request(  # noqa: SLF001
                method,
                f"{self._settings.url}{path}",
                data=None if data is None else BytesIO(data),
                headers=JSON | headers,
                allow_redirects=False,
                timeout=self._timeout(timeout),
            ) as answer:
                body = await _bounded(answer, largest or LARGEST_ANSWER)
                self._date = answer.headers.get("Date")
                if answer.status not in SUCCESS:
                    raise failure(answer.status, self._cut_out(answer.headers), self._cut(body))
                yield answer, body

    def _read(self, read: Callable[[bytes], Found], body: bytes) -> Found:
        """Parse an answer; an error that quotes the answer shows no credentials."""
        try:
            return read(body)
        except DatabaseError:
            return read(self._cut(body))

    def _shown(self, version: object) -> str:
        text = self._cut(shown(version).encode()).decode()
        return shown(text, longest=LONGEST_VERSION)

    def _cut_out(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        return CIMultiDict(
            (name, self._cut(value.encode(errors="surrogateescape")).decode(errors="replace"))
            for name, value in headers.items()
        )

    def _cut(self, text: bytes) -> bytes:
        """Cut our credentials, plain or escaped as in JSON, out of foreign text."""
        for secret in self._secrets():
            for written in (secret.encode(), json.dumps(secret)[1:-1].encode()):
                text = text.replace(written, b"***")
        return text

    def _secrets(self) -> list[str]:
        given = [self._secret() or "", *self._session.shown()]
        return [secret for secret in given if len(secret) >= SHORTEST_SECRET]

    def _secret(self) -> str | None:
        password = self._password
        return password.get_secret_value() if isinstance(password, SecretStr) else None


_WORD = re.compile(r"[a-z_]+").fullmatch
"""CouchDB's error words, which decide what to do, so they stay even if one is the password."""


def _cut_entry(entry: Entry, secrets: Sequence[str]) -> None:
    reason = entry.reason if isinstance(entry.reason, str) else shown(entry.reason)
    error = entry.error if isinstance(entry.error, str) else shown(entry.error)
    for secret in secrets:
        if secret in reason:
            entry.reason = reason = reason.replace(secret, "***")
        if secret in error and not _WORD(error):
            entry.error = error = error.replace(secret, "***")


async def _bounded(answer: aiohttp.ClientResponse, largest: int) -> bytes:
    """Read the unpacked body; raises `AnswerTooLarge` if it has more bytes."""
    parts, size = [], 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > largest:
            answer.close()
            raise AnswerTooLarge(largest)
        parts.append(part)
    return b"".join(parts)


def _ahead(date: str | None) -> float | None:
    """Seconds that a server's clock is ahead, by the `Date` header that it has just sent."""
    try:
        return parsedate_to_datetime(date or "").timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _check_partitions(about: dict[str, Any]) -> None:
    if _part(about, "props").get("partitioned"):
        raise Misconfigured(
            "the database is partitioned, and ids of activations are not made for that",
            cause="partitioned",
        )


def _part(about: dict[str, Any], name: str) -> dict[str, Any]:
    part = about.get(name)
    return part if isinstance(part, dict) else {}


def _list(about: dict[str, Any], name: str) -> list[Any]:
    part = about.get(name)
    return part if isinstance(part, list) else []


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < LARGEST_COUNT else 0


def _may_be_nobodys(entries: Sequence[Entry]) -> bool:
    """Whether a request was answered as an anonymous one may be: nothing of it was written."""
    return not any(entry.stored for entry in entries) and any(
        entry.error in RIGHTS for entry in entries
    )


def _refusal(entry: Entry) -> EntriesFailed | None:
    passes = entry.stored or entry.error in PASSES_PROBE
    if passes and entry.id == PROBE_ID:
        return None
    return EntriesFailed(entry.explanation, error=entry.cause)


@asynccontextmanager
async def connected(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """A connected database for as long as the block runs; sends nothing on its own."""
    database = Database(settings)
    await database.connect()
    try:
        yield database
    finally:
        await database.close()


def _as_probe(known_good: Document) -> bytes:
    try:
        content = json.loads(known_good.body)
    except RecursionError:  # too deep to decode, although it was stored
        return BARE_PROBE
    content.pop("_rev", None)
    return json.dumps(content | {"_id": PROBE_ID, "_deleted": True}).encode()


@contextmanager
def _connected() -> Iterator[None]:
    """Translate connection failures into `DatabaseError`."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        _let_go(error)
        raise network_error(error) from None


def _let_go(error: BaseException) -> None:
    """Clear the frames of an error's traceback, which hold the request's body.

    aiohttp's frames and the error refer to each other, so they would wait for the cycle collector,
    which the worker seldom runs: two megabytes for each attempt during an outage.
    """
    passed: BaseException | None = error
    while passed is not None:
        clear_frames(passed.__traceback__)
        passed = passed.__cause__ or passed.__context__
