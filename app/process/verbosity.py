"""Changes the log level while the process runs."""

import logging
from enum import StrEnum
from typing import Final

OURS: Final = ("app", "agents", "models", "openwhisk")
"""Loggers of the persister. What the libraries say at DEBUG is thousands of lines a second."""


class Level(StrEnum):
    """Of the persister's own lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def set_level(level: Level) -> None:
    """Log what is of this level and above."""
    for name in OURS:
        logging.getLogger(name).setLevel(level.name)
    if level is Level.DEBUG:
        # They may have been told to write no more than INFO; the loggers decide.
        for handler in logging.getLogger().handlers:
            if handler.level == logging.INFO:
                handler.setLevel(logging.DEBUG)
    logging.getLogger(__name__).warning("Logging from level %s on.", level)


def toggle_debug() -> Level:
    """Log everything, or again what is usual; returns which."""
    on = logging.getLogger(OURS[0]).level == logging.DEBUG
    level = Level.INFO if on else Level.DEBUG
    set_level(level)
    return level
