"""Keeps the last warnings and errors of the log for the status page."""

import logging
from collections import deque
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


class RecentWarnings(logging.Handler):
    """A handler that keeps the last few lines, and writes nothing."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[Line] = deque(maxlen=LINES)
        """Newest last."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            text = record.getMessage()
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
