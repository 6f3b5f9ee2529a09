"""Moments as OpenWhisk writes and reads them: epoch millis, or ISO-8601 strings."""

import re
from datetime import UTC, date, datetime
from typing import Any, Final

from models.fields import FieldError, is_number

# What java.time's ISO_INSTANT parses, offsets included (Java 12 and newer).
_ISO: Final = re.compile(
    r"(?P<year>-?\d{4}|\+\d{5,10}|-\d{5,10})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"T(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{0,9}))?"
    r"(?:Z|(?P<sign>[+-])(?P<off_hour>\d\d):(?P<off_minute>\d\d)(?::(?P<off_second>\d\d))?)",
    re.ASCII | re.IGNORECASE,
)
_EPOCH: Final = date(1970, 1, 1)
_CYCLE_YEARS: Final = 400
_CYCLE_DAYS: Final = 146_097
_LARGEST_SECOND: Final = 31_556_889_864_403_199
_SMALLEST_SECOND: Final = -31_557_014_167_219_200
_ALLOWED: Final = "must be epoch millis or an ISO-8601 moment such as 2026-01-02T03:04:05.678Z"


def epoch_millis(value: Any) -> int:
    """Epoch millis of a number or an ISO string; finer fractions are cut, towards the past.

    Follows OpenWhisk's `Instant` reader: any number is taken, without its fraction.
    """
    if isinstance(value, str):
        return iso_millis(value)
    if not is_number(value):
        raise FieldError(_ALLOWED)
    try:
        return int(value) if abs(value) < 2**63 else 0
    except ArithmeticError:  # a Decimal beyond its own range
        return 0


def iso_millis(text: str) -> int:
    """Epoch millis of `2026-01-02T03:04:05.678901234Z`, as `java.time.Instant.parse` reads it."""
    match = _ISO.fullmatch(text)
    if not match or match["year"] == "-0000":
        raise FieldError(_ALLOWED)
    try:
        seconds = _days(int(match["year"]), int(match["month"]), int(match["day"])) * 86_400
        seconds += _seconds_of_day(match) - _offset(match)
    except ValueError:
        raise FieldError(_ALLOWED) from None
    if not _SMALLEST_SECOND <= seconds <= _LARGEST_SECOND:
        raise FieldError(_ALLOWED)
    return seconds * 1000 + int(f"{match['fraction'] or '':0<3.3}")


def iso(millis: int, timespec: str = "milliseconds") -> str:
    """Epoch millis as `2026-01-02T03:04:05.678Z`; a number out of range as it is.

    Args:
        millis: of a record or of Kafka: anybody may have made it up.
        timespec: how fine, as `datetime.isoformat` names it.
    """
    try:
        moment = datetime.fromtimestamp(millis / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{millis} ms"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def _days(year: int, month: int, day: int) -> int:
    # Python's calendar ends at the year 9999, Java's at a billion; it repeats every 400 years.
    cycles, year_of_cycle = divmod(year, _CYCLE_YEARS)
    moved = date(year_of_cycle + _CYCLE_YEARS, month, day) - _EPOCH
    return moved.days + (cycles - 1) * _CYCLE_DAYS


def _seconds_of_day(match: re.Match[str]) -> int:
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if (hour, minute, second) == (23, 59, 60):  # a leap second is the one before it
        return 86_399
    if (hour, minute, second) == (24, 0, 0) and not int(match["fraction"] or 0):
        return 86_400
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - a clock's numbers
        raise ValueError(match[0])
    return hour * 3600 + minute * 60 + second


def _offset(match: re.Match[str]) -> int:
    if not match["sign"]:
        return 0
    hours, minutes = int(match["off_hour"]), int(match["off_minute"])
    seconds = int(match["off_second"] or 0)
    offset = hours * 3600 + minutes * 60 + seconds
    if offset > 18 * 3600 or minutes > 59 or seconds > 59:  # noqa: PLR2004 - Java's ZoneOffset
        raise ValueError(match[0])
    return -offset if match["sign"] == "-" else offset
