"""A line of an activation's log."""

import re
from datetime import datetime
from typing import Self

import faust
from dateutil.parser import isoparse

_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\S+) +(?P<stream>stdout|stderr): (?P<text>.*)", re.DOTALL
)


class LogLine(faust.Record, include_metadata=False):
    """`2026-01-02T03:04:05.678901234Z stdout: text` (OpenWhisk's `LogLine`)."""

    time: str
    """As the container runtime wrote it, to the nanosecond: a `datetime` would lose the last
    three digits."""

    stream: str
    text: str

    @property
    def moment(self) -> datetime:
        """The time, to the microsecond."""
        return isoparse(self.time)

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """Read a line; `None` when this is not one."""
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        try:
            isoparse(match["time"])
        except ValueError:
            return None
        return cls(time=match["time"], stream=match["stream"], text=match["text"])

    def render(self) -> str:
        """The line; OpenWhisk pads a shorter time to 30 characters."""
        return f"{self.time:<30} {self.stream}: {self.text}"
