"""Command-line options and arguments that select dead letters."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from dateutil.parser import isoparse

from app.dead_letters.reading import LetterId
from app.dead_letters.selection import Selection
from models.reasons import RejectReason

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Instant(click.ParamType):
    """Epoch millis of an ISO-8601 time (UTC, if it does not say), or of `90m` ago."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read the argument."""
        if isinstance(value, int):
            return value
        try:
            if ago := _AGO.fullmatch(value):
                when = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            else:
                when = isoparse(value)
            return int(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a time (2026-01-31T12:00) nor an age (90m)", param, ctx
            )


class Duration(click.ParamType):
    """Seconds of `90s`, `15m`, `1h`, `1d`."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read the argument."""
        if isinstance(value, int | float):
            return float(value)
        found = _AGO.fullmatch(value)
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no duration such as 90s, 15m, 1h or 1d", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])}).total_seconds()


class Name(click.ParamType):
    """A letter's number, as `list` shows it."""

    name = "letter"

    def convert(self, value: Any, param: Any, ctx: Any) -> LetterId:
        """Read the argument."""
        try:
            return LetterId.parse(value)
        except ValueError:
            self.fail(
                f"{value!r} is no letter: `dead-letters list` shows their numbers", param, ctx
            )


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which letters are meant."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


_FILTERS = (
    click.option(
        "--reason",
        "reasons",
        multiple=True,
        type=click.Choice([reason.value for reason in RejectReason]),
        help="Set aside for this reason; can be repeated.",
    ),
    click.option("--topic", "topics", multiple=True, help="Read from this topic; can be repeated."),
    click.option(
        "--since",
        type=Instant(),
        help="Set aside since then: an ISO 8601 time, or an age such as 90m, 2d.",
    ),
    click.option("--until", type=Instant(), help="Set aside before then."),
    click.option("--activation", "activation_id", help="Of this activation id."),
    click.option("--limit", type=click.IntRange(1), help="At most this many."),
)


def selection(reasons: tuple[str, ...], topics: tuple[str, ...], **others: Any) -> Selection:
    """What the options say."""
    return Selection(frozenset(map(RejectReason, reasons)), frozenset(topics), **others)
