"""What `persister status` makes of a worker's answer."""

from collections.abc import Callable
from typing import Any

import pytest

from app.commands.status import show

Shown = Callable[[dict[str, Any]], list[str]]

ANSWER: dict[str, Any] = {
    "ready": False,
    "not_ready": "the database [bold]takes\x1b[2J no documents",
    "topics": {"completed0": {"0": {"committed": 5, "end": 12, "lag": 7}, "1": {}}},
    "outcomes": {
        "route": {"consumed": 7, "skipped": {"acknowledgement": 2, "no-record": 1}},
        "store": {"consumed": 0},
    },
    "database": {"address": "http://db/x", "down": True, "last_error": "HTTP 503\nmaintenance"},
}


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[dict[str, Any]], list[str]]:
    def show_all(answer: dict[str, Any]) -> list[str]:
        show(answer)
        return capsys.readouterr().out.splitlines()

    return show_all


def test_the_verdict_comes_first_and_is_printable(shown: Shown) -> None:
    assert shown(ANSWER)[0] == "not ready: the database [bold]takes\\x1b[2J no documents"
    assert shown({"ready": True})[0] == "ready"


def test_partitions_and_outcomes_are_lines(shown: Shown) -> None:
    lines = shown(ANSWER)
    assert "completed0  0          7    5          12" in lines
    assert "completed0  1          ?    ?          ?" in lines
    assert "route: consumed 7, skipped 3" in lines


def test_a_database_that_is_down_says_why_on_one_line(shown: Shown) -> None:
    assert shown(ANSWER)[-2:] == ["database http://db/x: down", "  HTTP 503\\nmaintenance"]
