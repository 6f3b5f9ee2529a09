"""Authorizes writes through the gateway by asking CouchDB whether the user may write.

A write is answered in CouchDB's name, so its credentials are tried on CouchDB first, by a write of
no documents. The verdict counts for a short while, and is kept by user: what one user sends, in
however many sessions, pushes out nobody else's.

While CouchDB is away, credentials that it accepted lately still count, because taking records then
is what the gateway is for. While it is merely busy they count for minutes only, and it is asked all
the while: a user who was deleted must not stay because many others keep the database at work.
Credentials that were never accepted do not count at any time.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.process.connections import whose
from app.process.printable import shown

logger = logging.getLogger(__name__)

_RECHECK_PAUSE = 2.0
"""Seconds between two checks of credentials while CouchDB does not answer."""

_MOST_USERS = 1000
_MOST_OF_A_USER = 16
"""Most credentials to remember of one user: sessions, and a password that is being changed."""

_WRONG_PASSWORD_COUNTS = 100.0
"""Seconds for which refused credentials are not tried again.

After five wrong attempts from an address, CouchDB 3.4 and later locks a user out for minutes, even
with the right password. A client that keeps using an old password makes three attempts in that
time.
"""

_MOST_REFUSED = 1000

_MOST_QUESTIONS = 8
"""Most concurrent checks of unknown credentials for one address or IPv6 network; each makes CouchDB
hash a password.
"""

_SESSION_TTL = 10.0
"""Seconds that a verdict on a session is valid. CouchDB renews a session when it is used in its
last nine tenths. Of a client that only writes what the gateway takes, it sees only the questions.
"""

_LONGEST_NAME = 100
_NOT_FOUND = 404


SESSION = "AuthSession"
"""CouchDB's name for the cookie of a session."""


class Verdict(StrEnum):
    """CouchDB's verdict on credentials."""

    VALID = "valid"
    HEARD_BY_COUCHDB = "heard by couchdb"
    """They may write, but CouchDB has to see each document, and its answer counts."""

    REFUSED = "refused"
    BUSY = "busy"
    """CouchDB is there, but cannot say now."""

    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """CouchDB's own answer to credentials that it refuses.

    Attributes:
        status: the HTTP status.
        body: the JSON body as received.
        headers: those of its headers that are for the client.
        locked: whether the user is locked out for a while, whatever the password.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    locked: bool = False


def is_lockout(status: int, body: bytes) -> bool:
    """Whether CouchDB answers that a user is locked out for a while, whatever the password."""
    return status == 403 and b"temporarily locked" in body  # noqa: PLR2004 - forbidden


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on credentials, with the details.

    Attributes:
        verdict: the verdict.
        user: the user according to CouchDB; None for an anonymous one.
        refusal: CouchDB's answer, if it refused them.
        age: seconds since the oldest of what it relies on was asked.
        headers: CouchDB's headers that any answer to the client should have.
        session: the cookie with which CouchDB renews the session, for who waits for this verdict.
    """

    verdict: Verdict
    user: str | None = None
    refusal: Refusal | None = None
    age: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    session: str | None = None

    @property
    def locked(self) -> bool:
        """Whether CouchDB says nothing but that the user is locked out for a while."""
        return self.refusal is not None and self.refusal.locked

    @property
    def says_nothing(self) -> bool:
        """Whether the refusal says nothing about the credentials: no database, or locked out."""
        return self.locked or (self.refusal is not None and self.refusal.status == _NOT_FOUND)


@dataclass(slots=True)
class _Known:
    judgement: Judgement
    valid_at: float
    ask_again_at: float


Ask = Callable[[Mapping[str, str], str | None], Awaitable[Judgement]]
"""Asks about headers on behalf of a client's address, or without one for the gateway itself."""


def credentials_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that authenticate a user to CouchDB: basic, token, cookie or proxy.

    And the page that a browser sends the request for: what CouchDB allows it may differ, too.
    """
    return {
        name: value
        for name, value in headers.items()
        if (lower := name.lower()) in ("authorization", "cookie", "origin")
        or lower.startswith("x-auth-couchdb-")
    }


def for_the_client(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer of CouchDB's to the gateway that are for the client (CORS, 401)."""
    return {
        name: value
        for name, value in headers.items()
        if (lower := name.lower()) == "www-authenticate" or lower.startswith("access-control-")
    }


class Credentials:
    """Remembers verdicts by a keyed hash of the credentials, which are not kept themselves.

    Args:
        ask: asks CouchDB about these headers only.
        ttl: seconds that a positive verdict is valid.
        grace: seconds that it is valid while CouchDB is away.
        busy_grace: seconds that it is valid while CouchDB is there, but does not say.
        patience: seconds that a request waits for CouchDB's verdict.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        ttl: float,
        grace: float,
        busy_grace: float,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._ttl = ttl
        self._grace = {
            Verdict.UNREACHABLE: grace,
            Verdict.BUSY: min(grace, ttl + busy_grace),
        }
        self._patience = patience
        self._clock = clock
        self._hash_key = secrets.token_bytes(32)
        self._known = _Memory()
        self._refused: dict[bytes, tuple[float, Judgement]] = {}
        self._asking: dict[bytes, asyncio.Task[Judgement]] = {}
        self._asked_at: dict[bytes, float] = {}
        self._guessing: Counter[str] = Counter()

    async def judge(self, headers: Mapping[str, str], client: str) -> Judgement:
        """The verdict on a request; there is one check at a time for the same credentials.

        Args:
            headers: the request's headers.
            client: the client's address.
        """
        credentials = credentials_of(headers)
        key = self._key(credentials)
        now = self._clock()
        known = self._known.get(key)
        if known is not None and now < known.ask_again_at:
            return known.judgement
        if key in self._refused:
            until, judgement = self._refused[key]
            if now < until:
                return judgement
            del self._refused[key]
        if key not in self._asking:
            if known is None and self._guessing[whose(client)] >= _MOST_QUESTIONS:
                return Judgement(Verdict.BUSY)
            self._ask_about(key, credentials, client, guess=known is None)
        question = self._asking[key]
        # The check goes on in the background, so that even a slow answer ends a deleted user's
        # grace. Only the first requests wait for it where there is a verdict for the meantime.
        waited = now - self._asked_at[key] if known is not None else 0.0
        done, _ = await asyncio.wait({question}, timeout=max(0.0, self._patience - waited))
        return question.result() if done else self._meanwhile(key, Verdict.BUSY)

    def _ask_about(
        self, key: bytes, credentials: Mapping[str, str], client: str, *, guess: bool
    ) -> None:
        question = asyncio.get_running_loop().create_task(self._asked(key, credentials, client))
        self._asking[key] = question
        self._asked_at[key] = self._clock()
        guessing = whose(client)
        self._guessing[guessing] += guess

        def done(_: asyncio.Task[Judgement]) -> None:
            del self._asking[key], self._asked_at[key]
            self._guessing[guessing] -= guess
            if not self._guessing[guessing]:
                del self._guessing[guessing]

        question.add_done_callback(done)

    async def _asked(self, key: bytes, credentials: Mapping[str, str], client: str) -> Judgement:
        asked_at = self._clock()
        judgement = await self._ask(credentials, client)
        if judgement.locked and self._known.get(key):
            # Wrong attempts from the client's address, of whoever it was, say nothing about
            # credentials that were right, and hide whether they still are.
            judgement = await self._ask(credentials, None)
        if judgement.verdict in (Verdict.VALID, Verdict.HEARD_BY_COUCHDB):
            asked_at = min(asked_at, self._clock() - judgement.age)
            ttl = min(self._ttl, _SESSION_TTL) if _is_session(credentials) else self._ttl
            known = replace(judgement, session=None)  # a secret is not kept
            self._known.put(key, _Known(known, asked_at, asked_at + ttl))
            return judgement
        if judgement.verdict is not Verdict.REFUSED:
            return self._meanwhile(key, judgement.verdict)
        if judgement.says_nothing and self._known.get(key):
            return self._meanwhile(key, Verdict.BUSY)
        self._known.drop(key)
        self._refuse(key, judgement, credentials, client)
        return judgement

    def _meanwhile(self, key: bytes, verdict: Verdict) -> Judgement:
        """The verdict that applies while CouchDB does not give one."""
        known = self._known.get(key)
        now = self._clock()
        if known is None or now >= known.valid_at + self._grace[verdict]:
            return Judgement(verdict)
        known.ask_again_at = now + _RECHECK_PAUSE
        return known.judgement

    def _refuse(
        self, key: bytes, judgement: Judgement, credentials: Mapping[str, str], client: str
    ) -> None:
        refusal = judgement.refusal
        logger.warning(
            "CouchDB refused a write of %s from %s: %s",
            _named(credentials),
            client,
            shown(refusal.body if refusal else b"", longest=200),
        )
        # CouchDB can repeat other refusals (no member, no such database) at no cost.
        if refusal and refusal.status == 401 and credentials:  # noqa: PLR2004 - unauthorized
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.pop(next(iter(self._refused)))
            self._refused[key] = (self._clock() + _WRONG_PASSWORD_COUNTS, judgement)

    def _key(self, credentials: Mapping[str, str]) -> bytes:
        digest = hashlib.blake2b(key=self._hash_key)
        for name, value in sorted(credentials.items()):
            digest.update(f"{name.lower()}\0{value}\0".encode(errors="surrogateescape"))
        return digest.digest()


class _Memory:
    """Verdicts by hash of the credentials, bounded per user and in all."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}
        self._of_user: dict[str | None, dict[bytes, None]] = {}

    def get(self, key: bytes) -> _Known | None:
        return self._known.get(key)

    def put(self, key: bytes, known: _Known) -> None:
        self.drop(key)
        user = known.judgement.user
        keys = self._of_user.pop(user, {})
        keys[key] = None
        self._of_user[user] = keys  # moves the user to the end as well
        self._known[key] = known
        if len(keys) > _MOST_OF_A_USER:
            self.drop(next(iter(keys)))
        if len(self._of_user) > _MOST_USERS:
            for oldest in list(self._of_user[next(iter(self._of_user))]):
                self.drop(oldest)

    def drop(self, key: bytes) -> None:
        known = self._known.pop(key, None)
        if known is None:
            return
        keys = self._of_user[known.judgement.user]
        del keys[key]
        if not keys:
            del self._of_user[known.judgement.user]


def _is_session(credentials: Mapping[str, str]) -> bool:
    return any(
        name.lower() == "cookie" and f"{SESSION}=" in value for name, value in credentials.items()
    )


def _named(credentials: Mapping[str, str]) -> str:
    """How a client authenticates, without the credentials."""
    ways = ", ".join(sorted(shown(name, longest=_LONGEST_NAME) for name in credentials))
    return f"somebody with {ways}" if ways else "somebody without credentials"
