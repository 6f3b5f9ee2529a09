"""Whether CouchDB would let a writer in, remembered for a short while.

A write is answered in CouchDB's name, so CouchDB decides who may: the credentials of a request are
tried on it. While it can't be asked, credentials that it accepted lately still count, because
taking records while the database is down is what the gateway is for; unknown ones never do.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

_RECHECK_PAUSE = 2.0
"""Seconds between questions to a CouchDB that does not answer."""

_MOST_REMEMBERED = 1000


class Verdict(StrEnum):
    """What CouchDB says about credentials."""

    VALID = "valid"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(slots=True)
class _Known:
    valid_at: float
    ask_again_at: float


def credentials_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by which CouchDB knows a user: basic, token, cookie or proxy authentication."""
    return {
        name: value
        for name, value in headers.items()
        if (lower := name.lower()) in ("authorization", "cookie")
        or lower.startswith("x-auth-couchdb-")
    }


class Credentials:
    """Remembers valid credentials by a keyed hash; they themselves are not kept.

    Args:
        ask: asks CouchDB about the given headers and no others.
        ttl: seconds that a positive verdict counts.
        grace: seconds that it counts while CouchDB can't be asked.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        ask: Callable[[Mapping[str, str]], Awaitable[Verdict]],
        *,
        ttl: float,
        grace: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._ttl = ttl
        self._grace = grace
        self._clock = clock
        self._hash_key = secrets.token_bytes(32)
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, asyncio.Task[Verdict]] = {}

    async def verdict(self, headers: Mapping[str, str]) -> Verdict:
        """The verdict about a request with these headers; one question at a time per user."""
        credentials = credentials_of(headers)
        key = self._key(credentials)
        known = self._known.get(key)
        if known is not None and self._clock() < known.ask_again_at:
            return Verdict.VALID
        question = self._asking.get(key)
        if question is None:
            question = asyncio.get_running_loop().create_task(self._asked(key, credentials))
            self._asking[key] = question
            question.add_done_callback(lambda _: self._asking.pop(key))
        return await asyncio.shield(question)

    async def _asked(self, key: bytes, credentials: Mapping[str, str]) -> Verdict:
        asked_at = self._clock()
        verdict = await self._ask(credentials)
        known = self._known.pop(key, None)
        if verdict is Verdict.VALID:
            known = _Known(valid_at=asked_at, ask_again_at=asked_at + self._ttl)
        elif verdict is Verdict.UNREACHABLE and known and self._in_grace(known):
            known.ask_again_at = self._clock() + _RECHECK_PAUSE
        else:
            return verdict
        self._known[key] = known
        if len(self._known) > _MOST_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        return Verdict.VALID

    def _in_grace(self, known: _Known) -> bool:
        return self._clock() < known.valid_at + self._grace

    def _key(self, credentials: Mapping[str, str]) -> bytes:
        digest = hashlib.blake2b(key=self._hash_key)
        for name, value in sorted(credentials.items()):
            digest.update(f"{name.lower()}\0{value}\0".encode(errors="surrogateescape"))
        return digest.digest()
