"""Numbers and times as a person reads them. Pure."""

from datetime import UTC, datetime

from app.monitoring.histogram import LATENCIES

UNKNOWN = "?"

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
THIN_SPACE = "\u202f"


def duration(seconds: float | None) -> str:
    """A duration such as `4 s`, `12 minutes` or `3 hours`."""
    if seconds is None:
        return UNKNOWN
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits


def delay(seconds: float) -> str:
    """A duration that was estimated from a histogram, which may lie above its last bound."""
    return f"{'over ' if seconds >= LATENCIES[-1] else ''}{duration(seconds)}"


def number(value: float | None) -> str:
    """A number with separated thousands."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}".replace(",", THIN_SPACE)


def rate(value: float | None) -> str:
    """A rate, with as many digits as are meaningful."""
    if value is None:
        return UNKNOWN
    if value >= 10 or not value:  # noqa: PLR2004 - two digits
        return number(value)
    return "< 0.1" if value < 0.1 else f"{value:.1f}"  # noqa: PLR2004


def percent(part: float, whole: float) -> str:
    """A percentage such as `12 %`; only nothing is 0 %, and only everything 100 %."""
    of_all = 100 * part / whole if whole else 0.0
    if 0 < of_all < 1:
        return "< 1 %"
    if 99 < of_all < 100:  # noqa: PLR2004 - hundredths
        return "> 99 %"
    return f"{of_all:.0f} %"


def moment(at: float | None, now: float) -> str:
    """A time in UTC, with the date if it is not today."""
    if at is None:
        return UNKNOWN
    try:
        when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
    if when.date() == today.date():
        return f"{when:%H:%M:%S}"
    return f"{when:%Y-%m-%d %H:%M}"


def iso(at: float | None) -> str:
    """A time in ISO 8601, for programs."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return ""


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 record`, `2 records`."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"
