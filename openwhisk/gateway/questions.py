"""The gateway's own requests to CouchDB: who may write, and whether writes are validated."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import aiohttp
import msgspec
from yarl import URL

from app.process.printable import shown
from openwhisk.gateway.credentials import (
    SESSION,
    Judgement,
    Refusal,
    Verdict,
    credentials_of,
    for_the_client,
    is_lockout,
)

logger = logging.getLogger(__name__)

_TOO_MANY = 429
MAY_PASS = (408, _TOO_MANY)
"""Statuses with which a server asks to try again, as it does with those from 500 on."""

_ITSELF = "gateway"
"""What CouchDB is told for an address by a gateway that asks for itself. It may be any text, and
must not be one that others share: wrong attempts of a client count for the client.
"""

_REFUSED = (401, 403)
_REFUSED_BY_ITSELF = (400, 404)
"""Refusals only if they are CouchDB's own. Nothing but the credentials differs from one question to
another, so a bad request is theirs: a cookie that was cut, or what is not base 64. What is not
found is the database.
"""

_TOO_LONG = (400, 413, 431)
_LONG = 4096
"""Characters of credentials above which a status in `_TOO_LONG` is blamed on them: CouchDB accepts
lines of 8 KiB, and answers 400 to longer ones every time.
"""

_TOLD_TOO_LONG = (
    b'{"error":"bad_request","reason":"The credentials are longer than the database takes"}'
)

_TIMEOUT = 30.0
"""Seconds for an answer; requests may stop waiting for it earlier."""

_ANSWERED_LATELY = 60.0
"""In seconds: a CouchDB that has answered anybody within this time is not away."""

_NO_ENTRIES = b"[]"
"""CouchDB's answer to a write of no documents; a proxy's page may come with any status."""

_LONGEST_REFUSAL = 4096
_LONGEST_SESSION = 1024 * 1024
"""Most bytes of an answer about a user, of which the name is used; a user may have any roles."""

_LONGEST_DESIGNS = 16 * 1024 * 1024


Request = Callable[..., AbstractAsyncContextManager[aiohttp.ClientResponse]]
"""Like `aiohttp.ClientSession.request`."""


_MOST_DESIGN_PARTS = 200_000
"""Most opening braces in all design documents, including those in functions; each may be a row."""


class TooLong(aiohttp.ClientPayloadError):
    """An answer is longer than any that is expected."""


class _UserContext(msgspec.Struct):
    name: str | None = None
    roles: msgspec.Raw = msgspec.Raw(b"[]")


class _Session(msgspec.Struct):
    userCtx: _UserContext = msgspec.field(default_factory=_UserContext)  # noqa: N815 - CouchDB's


class _Design(msgspec.Struct):
    validate_doc_update: msgspec.Raw = msgspec.Raw(b"null")


class _Row(msgspec.Struct):
    id: str
    doc: _Design


class _Rows(msgspec.Struct):
    rows: list[_Row]


session_of = msgspec.json.Decoder(_Session).decode
_designs = msgspec.json.Decoder(_Rows).decode


def _is_there(design: _Design) -> bool:
    """Whether a design document has a validation function, as CouchDB counts it.

    Even an empty text: then CouchDB refuses all documents.
    """
    return bytes(design.validate_doc_update) != b"null"


class Questions:
    """Asks CouchDB questions with the credentials of a client.

    Args:
        request: sends a request, without following redirects.
        url: URL of CouchDB.
        database: URL of the activations database.
        connect_timeout: seconds to connect.
        trusted: users whose activations need no check by validation functions. If any are given,
            CouchDB checks everybody else's.
        validation_ttl: seconds to remember whether there are validation functions.
    """

    def __init__(
        self,
        request: Request,
        url: str,
        database: URL,
        *,
        connect_timeout: float,
        trusted: frozenset[str],
        validation_ttl: float,
    ) -> None:
        self._request = request
        self._url = url
        self._database = database
        self._quick = aiohttp.ClientTimeout(total=connect_timeout)
        self._timeout = aiohttp.ClientTimeout(total=_TIMEOUT, sock_connect=connect_timeout)
        self._trusted = trusted
        self._validation = False
        self._validation_ttl = validation_ttl
        self._validation_asked_at = -math.inf
        self._one_asks = asyncio.Lock()
        """Whoever asks after validation functions: all verdicts expire with that answer."""
        self._answered_at = -math.inf

    async def may_write(self, headers: Mapping[str, str], client: str | None) -> Judgement:
        """Whether CouchDB lets these headers write to the activations database.

        Writing no documents requires the same right as writing many. But validation functions only
        run for documents, so if there are any, CouchDB has to see the writes themselves.

        Args:
            headers: the headers with a request's credentials.
            client: the client's address, by which CouchDB counts wrong passwords; None to ask for
                the gateway itself.
        """
        headers = {**headers, "X-Forwarded-For": client or _ITSELF}
        try:
            async with self._request(
                "POST",
                self._database / "_bulk_docs",
                data=b'{"docs":[]}',
                headers=headers,
                timeout=self._timeout,
            ) as answer:
                body = await answer.content.read(_LONGEST_REFUSAL)
                judgement = self._judged(answer, body, _length(headers))
            if judgement.verdict is not Verdict.VALID:
                return judgement
            user = await self._user(headers)
            if user in self._trusted:
                return replace(judgement, user=user)
            if self._trusted:
                return replace(judgement, verdict=Verdict.HEARD_BY_COUCHDB, user=user)
            async with self._one_asks:
                validates, asked_at = await self._validates(headers)
            verdict = Verdict.HEARD_BY_COUCHDB if validates else Verdict.VALID
            age = time.monotonic() - asked_at
            return replace(judgement, verdict=verdict, user=user, age=age)
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as problem:
            return Judgement(self._silent(problem))

    async def answers(self) -> bool:
        """Whether CouchDB answers at all."""
        try:
            async with self._request("GET", self._url, timeout=self._quick) as answer:
                return answer.status < 500  # noqa: PLR2004 - server errors
        except (aiohttp.ClientError, OSError):
            return False

    def _judged(self, answer: aiohttp.ClientResponse, body: bytes, asked: int) -> Judgement:
        """The verdict in an answer; `asked` is the number of characters of the credentials."""
        status = answer.status
        if status in (201, 202) and body.strip() == _NO_ENTRIES:
            self._answered_at = time.monotonic()
            headers = for_the_client(answer.headers)
            return Judgement(Verdict.VALID, headers=headers, session=_session_in(answer))
        if status in _TOO_LONG and asked > _LONG:
            return Judgement(Verdict.REFUSED, refusal=Refusal(status, _TOLD_TOO_LONG))
        itself = "couchdb" in answer.headers.get("Server", "").lower()
        if status not in _REFUSED and not (itself and status in _REFUSED_BY_ITSELF):
            # No verdict. CouchDB names itself in `Server`; anything else is a proxy in front of a
            # CouchDB that is away. Passed on, its 200 or 302 would look as if the write was stored.
            busy = itself or status == _TOO_MANY
            return Judgement(Verdict.BUSY if busy else Verdict.UNREACHABLE)
        self._answered_at = time.monotonic()
        headers = for_the_client(answer.headers)
        refusal = Refusal(status, body, headers, is_lockout(status, body))
        return Judgement(Verdict.REFUSED, refusal=refusal)

    def _silent(self, problem: Exception) -> Verdict:
        """The verdict without an answer: CouchDB is busy if it answers others, and away if not."""
        connected = not isinstance(problem, aiohttp.ClientConnectorError)
        lately = time.monotonic() - self._answered_at < _ANSWERED_LATELY
        return Verdict.BUSY if connected and lately else Verdict.UNREACHABLE

    async def _user(self, headers: Mapping[str, str]) -> str | None:
        """The name of a user; None if CouchDB does not say."""
        status, body = await self._read("_session", headers, _LONGEST_SESSION)
        if status != 200:  # noqa: PLR2004 - OK
            return None
        return session_of(body).userCtx.name

    async def _validates(self, headers: Mapping[str, str]) -> tuple[bool, float]:
        """Whether the database has a validation function, and when it was asked.

        That is in monotonic seconds; it is asked now and then for all users.

        Raises:
            aiohttp.ClientError, TimeoutError: CouchDB does not say.
            ValueError: the answer is not CouchDB's JSON.
        """
        now = time.monotonic()
        if now - self._validation_asked_at < self._validation_ttl:
            return self._validation, self._validation_asked_at
        range_ = "startkey=%22_design/%22&endkey=%22_design0%22&include_docs=true"
        path = f"{self._database.raw_path[1:]}/_all_docs?{range_}"
        try:
            status, body = await self._read(path, headers, _LONGEST_DESIGNS)
        except TooLong:
            return True, now  # to be read
        if status in MAY_PASS or status >= 500:  # noqa: PLR2004 - server errors
            raise aiohttp.ClientPayloadError(f"status {status}")
        if status != 200:  # noqa: PLR2004 - OK
            return True, now  # this user may not read them, so there may be some
        if body.count(b"{") > _MOST_DESIGN_PARTS:
            return True, now  # too many to parse
        try:
            names = [row.id for row in _designs(body).rows if _is_there(row.doc)]
        except RecursionError:
            return True, now  # too deeply nested to parse
        if names and not self._validation:
            logger.warning(
                "database %s has validation functions (%s): writes pass through to CouchDB, which "
                "hears them; GATEWAY_AUTHORIZED_USERS names users whose activations it need not "
                "hear",
                self._database.path[1:],
                ", ".join(shown(name, longest=100) for name in names[:10]),
            )
        self._validation, self._validation_asked_at = bool(names), now
        return self._validation, now

    async def _read(self, path: str, headers: Mapping[str, str], longest: int) -> tuple[int, bytes]:
        url = URL(f"{self._url}/{path}", encoded=True)
        async with self._request("GET", url, headers=headers, timeout=self._timeout) as answer:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > longest:
                    raise TooLong
            return answer.status, bytes(body)


def _session_in(answer: aiohttp.ClientResponse) -> str | None:
    """The cookie with which CouchDB renews the session of who asks, if it does."""
    given = answer.headers.getall("Set-Cookie", ())
    return next((cookie for cookie in given if cookie.startswith(f"{SESSION}=")), None)


def _length(credentials: Mapping[str, str]) -> int:
    return sum(len(value) for value in credentials_of(credentials).values())
