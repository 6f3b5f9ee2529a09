"""Keeps the last warnings and errors of the log for the status page."""

import logging
import re
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

LINES = 20
LONGEST = 500
"""Characters of a message that are kept."""


class Line(NamedTuple):
    """A line of the log."""

    at: float
    """Epoch seconds."""
    level: str
    text: str


_SERVICE = re.compile(r"^\[\^-*\w*(?::[^\]]{1,200})?\]: ")
"""What `mode` puts before the messages of its services: names of classes."""


class RecentWarnings(logging.Handler):
    """A handler that keeps the last few lines, and writes nothing.

    Args:
        besides: names of loggers whose warnings are shown otherwise, so that they do not crowd out
            the rest; their errors are kept.
    """

    def __init__(self, besides: Collection[str] = ()) -> None:
        super().__init__(logging.WARNING)
        self._besides = frozenset(besides)
        self.lines: deque[Line] = deque(maxlen=LINES)
        """Newest last."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        if record.name in self._besides and record.levelno < logging.ERROR:
            return
        try:
            text = _SERVICE.sub("", record.getMessage())
        except Exception:  # noqa: BLE001 - as each handler of logging does it
            self.handleError(record)
            return
        text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        self.lines.append(Line(record.created, record.levelname, text.strip()))

    def attach(self) -> None:
        """Keep what every logger logs from now on."""
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)
