"""Numbers and times as a person reads them. Pure."""

from datetime import UTC, datetime

from app.monitoring.histogram import LATENCIES

UNKNOWN = "?"

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_MILLION = 10**6
THIN_SPACE = "\u202f"


def duration(seconds: float | None) -> str:
    """Such as `4 s`, `12 minutes`, `3 hours`."""
    if seconds is None:
        return UNKNOWN
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits


def delay(seconds: float) -> str:
    """Of an estimate from a histogram, which ends somewhere."""
    return f"{'over ' if seconds >= LATENCIES[-1] else ''}{duration(seconds)}"


def number(value: float | None) -> str:
    """With its thousands apart."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}".replace(",", THIN_SPACE)


def rate(value: float | None) -> str:
    """Of each second, with as many digits as say something."""
    if value is None:
        return UNKNOWN
    if value >= 10 or not value:  # noqa: PLR2004 - two digits
        return number(value)
    return "< 0.1" if value < 0.1 else f"{value:.1f}"  # noqa: PLR2004


def percent(part: float, whole: float) -> str:
    """Such as `12 %`; only nothing is shown as 0 %, and only everything as 100 %."""
    of_all = 100 * part / whole if whole else 0.0
    if 0 < of_all < 1:
        return "< 1 %"
    if 99 < of_all < 100:  # noqa: PLR2004 - hundredths
        return "> 99 %"
    return f"{of_all:.0f} %"


def moment(at: float | None, now: float) -> str:
    """A time in UTC; of another day with its date."""
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
    """A time for programs."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return ""


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 record`, `2 records`."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"
