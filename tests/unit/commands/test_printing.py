"""Tables are for eyes where there is a terminal, and for `grep` elsewhere."""

import pytest
from rich.table import Table

from app.commands.findings import tell
from app.commands.printing import print_table
from app.doctor import Finding, State

LONG = "a sentence that goes on and on, " * 20


def test_a_line_of_a_table_stays_one_line_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tell([Finding("Kafka", State.WRONG, LONG), Finding("settings", State.OK, "")], as_objects=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"wrong  Kafka     {LONG.strip()}", "ok     settings"]


def test_a_terminal_gets_lines_of_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table = Table(box=None, show_header=False)
    table.add_row("x", LONG)
    print_table(table)
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())
