"""Checks whether `PERSISTER_LOG_MODE` fits the records that OpenWhisk writes. Pure.

A stock OpenWhisk keeps logs inside the record. The persister must then read the complete records
alone (`in-record`); with `separate` it reads the acknowledgements too, which are sent before the
logs are collected, and the same activation comes once without logs and once with them.
"""

import logging
import re
from enum import StrEnum

from models.modes import LogMode

logger = logging.getLogger(__name__)

_line = re.compile(rb'(?<!\\)"\d{4}-\d\d-\d\dT[^\s"\\]{1,60} {1,60}(?:stdout|stderr): ').search
"""Finds a string that begins like a log line of an action; what sequences and triggers list in
`logs` does not.
"""

_MANY = 1000
"""How many records without a single log line it takes to conclude that logs are kept elsewhere."""


def has_line(logs: bytes) -> bool:
    """Whether the `logs` of a record, as JSON, have a log line."""
    return _line(logs) is not None


class Logs(StrEnum):
    """Where OpenWhisk keeps logs, judging by its records."""

    UNKNOWN = "unknown"
    INSIDE = "inside"
    ELSEWHERE = "elsewhere"


class LogModeWatch:
    """Checks the logs of records until it is clear where OpenWhisk keeps them.

    Args:
        mode: the configured log mode.
    """

    def __init__(self, mode: LogMode) -> None:
        self.mode = mode
        self.logs = Logs.UNKNOWN
        self._without = 0

    @property
    def fits(self) -> bool:
        """Whether the records seen so far fit the configured mode."""
        return self.logs is Logs.UNKNOWN or (
            (self.logs is Logs.INSIDE) is (self.mode is LogMode.IN_RECORD)
        )

    def look(self, logs: bytes) -> None:
        """Check the `logs` of a record, as JSON."""
        if self.logs is not Logs.INSIDE:
            self.looked(line=has_line(logs))

    def looked(self, *, line: bool) -> None:
        """Count a record whose `logs` were checked for a line."""
        if self.logs is Logs.INSIDE:
            return
        if line:
            self._know(Logs.INSIDE)
            return
        self._without += 1
        if self._without == _MANY:
            self._know(Logs.ELSEWHERE)

    def _know(self, logs: Logs) -> None:
        self.logs = logs
        if self.fits:
            return
        if logs is Logs.INSIDE:
            logger.error(
                "records come with their logs inside, but PERSISTER_LOG_MODE=%s is for an "
                "OpenWhisk with a log store: set PERSISTER_LOG_MODE=%s for the persister, and then "
                "for the gateway; until then acknowledgements without logs compete with complete "
                "records",
                self.mode.value,
                LogMode.IN_RECORD.value,
            )
        else:
            logger.warning(
                "none of %d records had a log line, but PERSISTER_LOG_MODE=%s is for an OpenWhisk "
                "that keeps logs inside the record; nothing is lost, and if the actions just log "
                "nothing, all is well; for an OpenWhisk with a log store set "
                "PERSISTER_LOG_MODE=%s",
                _MANY,
                self.mode.value,
                LogMode.SEPARATE.value,
            )
