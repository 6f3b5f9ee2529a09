"""Rate-limits repeated log messages, such as those about strangers or retrying clients."""

import logging
import time
from collections import Counter
from collections.abc import Callable

from aiohttp.http_exceptions import HttpProcessingError

PERIOD = 30.0
"""Seconds in which a message is logged once."""

REMEMBERED = 1000
"""Messages at most: some come with their arguments filled in."""

STRANGERS_CAUSE = ("aiohttp.server", "asyncio")
"""Loggers of what any client of a web server can bring about."""

_OURS = 500
"""Status from which on an error is the server's own."""


class Seldom(logging.Filter):
    """Lets each message of a logger pass once in a period, with how often it was meant before.

    Messages are told apart before their arguments are filled in, and by the `kind` that a logger
    may name beside them (`extra={"kind": ...}`), of which a stranger must not be able to make many.

    Args:
        period: seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self, period: float = PERIOD, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._period = period
        self._clock = clock
        self._passed: dict[str, float] = {}
        self._held: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it now."""
        message, now = f"{record.msg}{getattr(record, 'kind', '')}", self._clock()
        if now - self._passed.get(message, -self._period) < self._period:
            self._held[message] += 1
            return False
        if len(self._passed) >= REMEMBERED:
            self._passed.clear()
        self._passed[message] = now
        if held := self._held.pop(message, 0):
            record.msg, record.args = f"{record.getMessage()} ({held} more before)", ()
        return True


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
