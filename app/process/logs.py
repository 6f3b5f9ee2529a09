"""Makes every log record bounded and printable, and keeps credentials out of it.

This happens where log records are created (`logging.setLogRecordFactory`), because handlers are
chosen by Faust, by the command line and by tests, and libraries log what they receive: aiohttp logs
a malformed header as it is, credentials included.
"""

import faulthandler
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any

from aiohttp import ClientResponseError
from aiohttp.http_exceptions import HttpProcessingError

from app.process.detached import DetachedStream, detach_standard_streams, open_detached
from app.process.printable import printable

_STANDARD_ERROR = 2

LONGEST_ARGUMENT = 2000
"""Characters of one text that is filled into a message."""

LONGEST_MESSAGE = 8000
"""Characters of a message; a traceback may have as many more."""

NOT_SHOWN = "(not shown: it may hold credentials)"

_QUOTING = (HttpProcessingError, ClientResponseError)
"""Exceptions whose text quotes what a peer sent."""

_BLANK = r"(?:[ \t]|\\t)"

_SECRETS = (
    # A header up to the end of its line, also as the pair of name and value that Python shows.
    re.compile(
        rf"(?i)((?:authorization|cookie|x-auth-couchdb-\w{{1,20}})['\"]?{_BLANK}{{0,9}}[:=,])[^\r\n]+"
    ),
    re.compile(rf"(?i)\b((?:basic|bearer){_BLANK}{{1,9}})[\w.~+/=-]{{4,}}"),
    re.compile(r"(?i)(AuthSession=)[^\s;,'\"]+"),
    re.compile(r"(://)[^\s/@'\"]{1,500}@"),
)

_Excinfo = tuple[type[BaseException], BaseException, TracebackType | None]


def without_credentials(text: str) -> str:
    """The text with what looks like credentials left out."""
    for pattern in _SECRETS[:-1]:
        text = pattern.sub(r"\1***", text)
    return _SECRETS[-1].sub(r"\1***@", text)


class SafeRecord(logging.LogRecord):
    """A log record whose text anybody may have written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.exc_info, tuple) and self.exc_info[1] is not None:
            # Formatters take this text where it is given.
            self.exc_text = _traceback(self.exc_info)

    def getMessage(self) -> str:  # noqa: N802 - of logging
        """The message as it is shown. Line ends may stay in it, but not in what is filled in."""
        given, self.args = self.args, _arguments(self.args)
        try:
            text = super().getMessage()
        finally:
            self.args = given
        return _safe(text)


class LineFormatter(logging.Formatter):
    """One line for an event: when, in UTC; how bad; which part of the program; what happened.

    The names that `mode` puts before the messages of its services are left out: they name classes.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(part)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback, if there is one."""
        record.part = record.name.removeprefix("app.")
        return super().format(record)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """ISO 8601, in UTC."""
        return _moment(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of logging
        """Fill in the line."""
        record.message = _SERVICE.sub("", record.message).rstrip()
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """A JSON object on each line, whoever logs: `time`, `level`, `part`, `message`, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("app."),
            "message": _SERVICE.sub("", record.getMessage()).rstrip(),
        }
        if record.exc_text:
            told["traceback"] = record.exc_text
        return json.dumps(told, ensure_ascii=False)


class LogFormat(StrEnum):
    """How lines of the log are written."""

    TEXT = "text"
    JSON = "json"

    def formatter(self) -> logging.Formatter:
        """What writes them."""
        return LineFormatter() if self is LogFormat.TEXT else JsonFormatter()


def _moment(record: logging.LogRecord) -> str:
    """ISO 8601, in UTC."""
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_SERVICE = re.compile(r"^\[\^-*\w*(?::[^\]]{1,200})?\]: ")

QUIET = ("faust", "mode", "aiokafka", "app.kafka.patches.table_recovery")
"""They log each step of a start, a rebalance and a stop, in tables."""


def faust_logging(log_format: LogFormat = LogFormat.TEXT) -> dict[str, Any]:
    """Faust's `logging_config`: our lines, and of its libraries what is worth a warning."""
    return {
        "merge": True,
        # The second is for a terminal.
        "formatters": {key: {"()": log_format.formatter} for key in ("default", "colored")},
        "loggers": {name: {"level": "WARNING"} for name in QUIET},
    }


def log_to_terminal(log_format: LogFormat = LogFormat.TEXT) -> None:
    """Write our lines to standard error, for a command that stays."""
    protect_logs()
    detach_logs(log_format)
    handler = logging.StreamHandler()
    handler.setFormatter(log_format.formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def detach_logs(log_format: LogFormat = LogFormat.TEXT) -> None:
    """Have this process wait for nobody who reads its log, or what it prints.

    Handlers that were made before write where they did. A crash below Python (a segmentation fault)
    leaves the stacks of all threads in the log, past all of them.
    """
    faulthandler.enable(_STANDARD_ERROR)
    detach_standard_streams(_note(log_format))


def open_log_file(path: str, log_format: LogFormat = LogFormat.TEXT) -> DetachedStream:
    """Open a file to log to, for which this process waits no more than for the others.

    Raises:
        OSError: it cannot be opened.
    """
    return open_detached(path, _note(log_format))


def _note(log_format: LogFormat) -> Callable[[int], str]:
    formatter = log_format.formatter()

    def note(count: int) -> str:
        text = "%d lines were left out here: whatever reads this log did not take them"
        record = SafeRecord(__name__, logging.WARNING, "", 0, text, (count,), None)
        return formatter.format(record) + "\n"

    return note


def protect_logs() -> None:
    """Make every record of this process a `SafeRecord`."""
    logging.setLogRecordFactory(SafeRecord)


def _arguments(args: Any) -> Any:
    if isinstance(args, tuple):
        return tuple(_argument(arg) for arg in args)
    if isinstance(args, dict):
        return {name: _argument(arg) for name, arg in args.items()}
    return args


def _argument(value: object) -> object:
    # What is no text of its own must stay as it is: `%d` and `%r` are applied to it.
    if isinstance(value, str):
        return printable(value, longest=LONGEST_ARGUMENT)
    if isinstance(value, BaseException):
        return _Error(value)
    return value


class _Error:
    """An exception among the arguments of a message."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        return self._told(str(self._error))

    def __repr__(self) -> str:
        return self._told(repr(self._error))

    def _told(self, text: str) -> str:
        if isinstance(self._error, _QUOTING):
            return f"{type(self._error).__name__} {NOT_SHOWN}"
        return printable(text, longest=LONGEST_ARGUMENT)


def _traceback(exc_info: _Excinfo | tuple[Any, ...]) -> str:
    _, error, place = exc_info
    # Compact, as a RecursionError's thousand lines are no use to anybody.
    text = "".join(traceback.format_exception(type(error), error, place, limit=-30))
    for cause in _chain(error):
        if isinstance(cause, _QUOTING):
            text = text.replace(str(cause), NOT_SHOWN)
    return _safe(text.rstrip("\n"))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def _safe(text: str) -> str:
    if len(text) > LONGEST_MESSAGE:
        half = LONGEST_MESSAGE // 2
        left_out = len(text) - 2 * half
        text = f"{text[:half]}... ({left_out} more characters) ...{text[-half:]}"
    return printable(without_credentials(text), "\n\t")
