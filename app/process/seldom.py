"""Rate-limits repeated log messages, such as those about strangers or retrying clients."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aiohttp.http_exceptions import HttpProcessingError

PERIOD = 30.0
"""Seconds in which a message is logged once."""

REMEMBERED = 1000
"""Messages at most: some come with their arguments filled in."""

STRANGERS_CAUSE = ("aiohttp.server", "asyncio")
"""Loggers of what any client of a web server can bring about."""

_OURS = 500
"""Status from which on an error is the server's own."""


def _later(seconds: float, call: Callable[[], None]) -> Callable[[], object]:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    return timer.cancel


@dataclass
class _Held:
    """Messages that did not pass: the last one, and how many came before it."""

    last: logging.LogRecord
    before: int = 0


class Seldom(logging.Filter):
    """Lets each message of a logger pass once in a period, with how often it was meant before.

    When a period ends in which some did not pass, the last one of them does, so that all of them
    are counted by then.

    Messages are told apart before their arguments are filled in, and by the `kind` that a logger
    may name beside them (`extra={"kind": ...}`), of which a stranger must not be able to make many.

    Args:
        period: seconds.
        clock: monotonic seconds.
        later: calls something after some seconds, in a thread; returns what cancels that.
    """

    def __init__(
        self,
        period: float = PERIOD,
        *,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], Callable[[], object]] = _later,
    ) -> None:
        super().__init__()
        self._period = period
        self._clock = clock
        self._later = later
        self._lock = threading.RLock()  # a signal may come in between
        self._passed: dict[str, float] = {}
        self._held: dict[str, _Held] = {}
        self._cancel: Callable[[], object] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it now."""
        message = f"{record.msg}{getattr(record, 'kind', '')}"
        with self._lock:
            now = self._clock()
            left = self._passed.get(message, -self._period) + self._period - now
            if left > 0:
                self._hold(message, record, left)
                return False
            if len(self._passed) >= REMEMBERED:
                self._passed.clear()
            self._passed[message] = now
            if held := self._held.pop(message, None):
                _counted(record, held.before + 1)
        return True

    def forget(self) -> None:
        """Tell of nothing that is held."""
        with self._lock:
            self._held.clear()
            if self._cancel is not None:
                self._cancel()
            self._cancel = None

    def _hold(self, message: str, record: logging.LogRecord, left: float) -> None:
        # A traceback would keep alive what its frames have.
        record.exc_info = None
        held = self._held.get(message)
        self._held[message] = _Held(record, held.before + 1 if held else 0)
        if self._cancel is None:
            self._tell_in(left)

    def _tell_in(self, seconds: float) -> None:
        with suppress(RuntimeError):  # no thread can begin: while Python ends, or without memory
            self._cancel = self._later(seconds, self._tell)

    def _tell(self) -> None:
        """Log what is held of messages whose period is over."""
        with self._lock:
            now = self._clock()
            passed = self._passed
            over = [
                one
                for one in self._held
                if now - passed.get(one, now - self._period) >= self._period
            ]
            told = [self._held.pop(one) for one in over]
            passed |= dict.fromkeys(over, now)
            self._cancel = None
            if self._held:
                next_ = min(passed[one] for one in self._held) + self._period
                self._tell_in(next_ - now)
        for held in told:
            if held.before:
                _counted(held.last, held.before)
            logging.getLogger(held.last.name).callHandlers(held.last)


def _counted(record: logging.LogRecord, before: int) -> None:
    record.msg, record.args = f"{record.getMessage()} ({before} more before)", ()


class Malformed(logging.Filter):
    """Makes one line of what aiohttp says about a request that is no HTTP.

    It logs an error with a traceback for each. That says nothing more, and would hold back the same
    message about an error of our own.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record where it is one of those."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError) and error.code < _OURS:
            record.msg, record.args = (
                "refused a malformed request: %s (%s)",
                (type(error).__name__, record.getMessage()),
            )
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
        return True


def calm(*names: str) -> None:
    """Have each message of these loggers pass once in a while, with a count.

    Not those of the loggers below them: a logger's filters do not apply to its children.
    """
    for name in names:
        _filter_once(logging.getLogger(name), Seldom)


def calm_web_server(*names: str) -> None:
    """Have each message of aiohttp's server pass once in a while, with a count.

    Args:
        names: of further loggers of what any client can bring about.
    """
    for name in (*STRANGERS_CAUSE, *names):
        _filter_once(logging.getLogger(name), Malformed)
    calm(*STRANGERS_CAUSE, *names)


def _filter_once(logger: logging.Logger, kind: Callable[[], logging.Filter]) -> None:
    if not any(type(known) is kind for known in logger.filters):
        logger.addFilter(kind())
