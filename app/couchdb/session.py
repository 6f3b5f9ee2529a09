"""Authenticates requests: by a session's cookie where CouchDB gives one, else with Basic.

CouchDB 3.4 locks a user out after five wrong passwords from one address. With Basic, each request
in flight when a password is rotated counts as one. A cookie that is no longer valid does not count:
only the request for a new cookie does, and one such request serves all.

To CouchDB, a request with an expired cookie, or one from before a password was rotated, is
anonymous. In a database that anybody may write to, it is not answered with 401; instead, a
validation function that asks for a name refuses every document. So a new cookie is requested well
before the old one expires, and `Database.bulk` asks whose a cookie is before it believes that such
a function refuses everything.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import encode_basic_auth
from multidict import CIMultiDictProxy

from app.couchdb.errors import DatabaseError

logger = logging.getLogger(__name__)

COOKIE = "AuthSession"

_SET_COOKIE = re.compile(COOKIE + r'="?([!#-+\--:<-\[\]-~]*)"?\s*(?:;|$)').match
"""Accepts only the characters of a cookie (RFC 6265, 4.1.1), so nothing that would end a header."""

_MAX_AGE = re.compile(r";\s*Max-Age=(\d{1,9})\s*(?:;|$)", re.IGNORECASE).search

LONGEST_USE = 240.0
"""The most seconds to use a cookie; at most half of its `Max-Age` as well. CouchDB's last 600 s by
default, and need not have a `Max-Age`.
"""

FEW, SOON = 3, 60.0
"""If this many cookies are refused within this many seconds, the cause is not a rotated password or
a restarted server: the nodes of a cluster do not share `[chttpd_auth] secret` or the
administrators' salts, and a balancer alternates between them (apache/couchdb#4590).
"""

WITHOUT = 3600.0
"""For how many seconds requests then carry user and password."""

Post = Callable[[bytes, dict[str, str]], Awaitable[CIMultiDictProxy[str]]]
"""Sends `POST /_session` with a body and headers; returns the headers of the answer."""


class Session:
    """The credentials that requests carry.

    Args:
        user: the user; None for anonymous requests.
        password: returns the current password.
        post: requests a cookie.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        user: str | None,
        password: Callable[[], str | None],
        post: Post,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._user = user
        self._password = password
        self._post = post
        self._clock = clock
        self._cookie = ""
        self._used_until = float("-inf")
        self._worked = False
        self._without_cookies = False
        self._asking = asyncio.Lock()
        self.asked = 0
        """How many requests for a cookie have ended, with an answer or without."""
        self._refused: DatabaseError | None = None
        self._rejections: deque[float] = deque(maxlen=FEW)
        """When the last cookies were refused."""
        self._basic_until = float("-inf")

    async def headers(self, asked: int) -> dict[str, str]:
        """The authentication headers for the next attempt of a request.

        Args:
            asked: the value of `asked` when the request began. An answer since then holds for all
                requests that were under way, so that a wrong password counts only once.

        Raises:
            DatabaseError: there is no cookie yet, and the database does not answer or refuses the
                password.
        """
        without = self._without_cookies or self._clock() < self._basic_until
        if without or not self._user or self._password() is None:
            return self.basic()
        if self._cookie and self._clock() >= self._used_until:
            self._cookie = ""
        if not self._cookie:
            async with self._asking:
                await self._ask(asked)
        return {"Cookie": f"{COOKIE}={self._cookie}"} if self._cookie else self.basic()

    def basic(self) -> dict[str, str]:
        """Headers with user and password."""
        password = self._password()
        if not self._user or password is None:
            return {}
        return {"Authorization": encode_basic_auth(self._user, password)}

    def shown(self) -> list[str]:
        """The credentials that an answer may repeat: user and password, and the cookie."""
        return [*(value.partition(" ")[2] for value in self.basic().values()), self._cookie]

    async def _ask(self, asked: int) -> None:
        if self.asked > asked:
            if self._refused is not None:
                # Without the frames of earlier receivers, which hold request bodies.
                raise self._refused.with_traceback(None)
            return
        self._refused = None
        body = msgspec.json.encode({"name": self._user, "password": self._password()})
        try:
            answer = await self._post(body, {"Content-Type": "application/json", **self.basic()})
        except DatabaseError as error:
            self.asked += 1
            if error.counts_against_account:
                self._refused = error
            if error.counts_against_account or error.cause in UNHEARD:
                raise
            # Otherwise perhaps only this path fails, for example because a proxy does not let it
            # through.
            self._without_cookies = error.cause not in PASSING
        else:
            self.asked += 1
            self._cookie, seconds = _cookie(answer)
            self._used_until = self._clock() + seconds
            self._without_cookies = not self._cookie

    def worked(self, headers: dict[str, str]) -> None:
        """Note that a request with these headers was accepted."""
        self._worked = self._worked or "Cookie" in headers

    def rejected(self, headers: dict[str, str]) -> bool:
        """Note that a request was refused (401), or taken for an anonymous one.

        Returns whether to try again with new headers.

        Args:
            headers: the headers that it was sent with.
        """
        if "Cookie" not in headers:
            return False
        if headers["Cookie"] == f"{COOKIE}={self._cookie}":
            self._cookie = ""
            # If no cookie ever worked, something in between does not pass cookies on.
            self._without_cookies = not self._worked
            self._note_rejection(self._clock())
        return True

    def _note_rejection(self, now: float) -> None:
        self._rejections.append(now)
        if len(self._rejections) == FEW and now - self._rejections[0] < SOON:
            self._rejections.clear()
            self._basic_until = now + WITHOUT
            logger.warning(
                "The database gives cookies and refuses them at once: do the nodes of the cluster "
                "share [chttpd_auth] secret, and their administrators' salts? Each request carries "
                "user and password for an hour"
            )


UNHEARD = frozenset({"connection", "timeout", "cut"})
"""Causes that would also make the request itself fail."""

PASSING = frozenset({"429", "500", "502", "503", "504"})
"""Causes after which a request uses Basic, and the next one asks for a cookie again."""


def _cookie(headers: CIMultiDictProxy[str]) -> tuple[str, float]:
    """The cookie and the seconds to use it; empty without one."""
    for header in headers.getall("Set-Cookie", ()):
        if found := _SET_COOKIE(header):
            told = _MAX_AGE(header)
            return found[1], min(LONGEST_USE, int(told[1]) / 2) if told else LONGEST_USE
    return "", 0.0
