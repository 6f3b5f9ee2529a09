"""Signs browsers in: since a browser sends no header of our own, a cookie replaces the token. Pure.

A cookie consists of its expiry time, a random part, and a seal over both that is made with the
token. Whoever steals one can use it only until it expires, and cannot derive the token from it.
Workers with the same token accept each other's cookies, so it does not matter which one answers.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from pydantic import SecretStr

COOKIE = "persister-session"

LASTS = 12 * 3600
"""How long a sign-in lasts, in seconds."""

ATTEMPTS = 5
"""After this many wrong tokens within `WINDOW` seconds, an address is told to wait.

The right token is accepted even then: behind a proxy everybody has the same address, and somebody
who guesses must not lock out the others. What protects a token is its length.
"""

WINDOW = 60.0
REMEMBERED = 1000
"""How many addresses, and how many signed-out cookies, are remembered."""

_PURPOSE = b"activation-persister sign-in 1"


class TooManyAttemptsError(Exception):
    """Too many wrong tokens from one address; `seconds` says how long it should wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many attempts: wait {seconds} s")
        self.seconds = seconds


class SignIn:
    """Issues cookies and verifies them.

    Args:
        token: the configured token.
        clock: epoch seconds, for what cookies say to all workers.
        monotonic: monotonic seconds, for attempts.
    """

    def __init__(
        self,
        token: SecretStr,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token.get_secret_value().encode()
        self._key = hmac.digest(self._token, _PURPOSE, hashlib.sha256)
        self._clock = clock
        self._monotonic = monotonic
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._out: OrderedDict[str, None] = OrderedDict()

    def attempt(self, given: str, address: str) -> str | None:
        """Return a cookie for the right token, None for a wrong one.

        Args:
            given: the token that was sent.
            address: the client's address.

        Raises:
            TooManyAttemptsError: it is wrong, like too many others from there lately.
        """
        now = self._monotonic()
        if hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self._token):
            self._failed.pop(address, None)
            return self._cookie(int(self._clock() + LASTS))
        failed = self._failed.get(address)
        while failed and failed[0] <= now - WINDOW:
            failed.popleft()
        if failed and len(failed) >= ATTEMPTS:
            raise TooManyAttemptsError(int(failed[0] + WINDOW - now) + 1)
        self._failed.setdefault(address, deque()).append(now)
        self._failed.move_to_end(address)
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)
        return None

    def accepts(self, cookie: str) -> bool:
        """Whether a cookie is one of ours, and still valid."""
        ends, _, rest = cookie.partition(".")
        nonce, _, seal = rest.partition(".")
        if not (ends.isascii() and ends.isdigit() and len(ends) < 12 and nonce.isascii()):  # noqa: PLR2004
            return False
        right = hmac.compare_digest(seal.encode(errors="replace"), self._seal(ends, nonce).encode())
        return right and int(ends) > self._clock() and nonce not in self._out

    def sign_out(self, cookie: str) -> None:
        """Stop accepting a cookie; other workers accept it until it expires."""
        if self.accepts(cookie):
            self._out[cookie.split(".")[1]] = None
            while len(self._out) > REMEMBERED:
                self._out.popitem(last=False)

    def _cookie(self, ends: int) -> str:
        nonce = secrets.token_hex(16)
        return f"{ends}.{nonce}.{self._seal(str(ends), nonce)}"

    def _seal(self, ends: str, nonce: str) -> str:
        return hmac.new(self._key, f"{ends}.{nonce}".encode(), hashlib.sha256).hexdigest()


def cookie_in(header: str) -> str | None:
    """The value of our cookie in a `Cookie` header; of several the last one. None: there is none.

    Takes a hundredth of the time that aiohttp takes for all cookies, since whoever has no token may
    send a header of two thousand.
    """
    found = None
    for pair in header.split(";"):
        name, _, value = pair.partition("=")
        if name.strip() == COOKIE:
            found = value.strip()
    return found


def after_sign_in(path: str) -> str:
    """Where to go after signing in: a path of ours, never another site."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if good and not path.startswith("/sign-") else "/"
