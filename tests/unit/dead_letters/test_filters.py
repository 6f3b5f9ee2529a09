from datetime import UTC, datetime

import click
import pytest

from app.commands.filters import Instant

PARAM = click.Option(["--since"])


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:44:06", "2026-01-02T03:44:06Z", "2026-01-02 04:44:06+01:00"],
)
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    assert Instant().convert(text, PARAM, None) == 1_767_325_446_000


@pytest.mark.parametrize(
    "text, seconds", [("90s", 90), ("5m", 300), ("2h", 7200), ("3d", 3 * 86_400)]
)
def test_an_age_counts_from_now(text: str, seconds: int) -> None:
    before = datetime.now(UTC).timestamp()
    found = Instant().convert(text, PARAM, None)
    after = datetime.now(UTC).timestamp()

    assert int((before - seconds) * 1000) <= found <= (after - seconds) * 1000


@pytest.mark.parametrize("text", ["yesterday", "", "5", "5w", "-5m", "999999d"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a time"):
        Instant().convert(text, PARAM, None)
