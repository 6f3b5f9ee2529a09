"""How dead letters are listed on a terminal."""

import re

import pytest

from app.commands.dead_letters import _add, _table
from app.commands.printing import print_table
from tests.unit.dead_letters.letters import letter

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize("columns", [110, 130, 200])
def test_an_activation_id_stays_whole_on_a_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    table = _table()
    assert table is not None
    detail = "the database refuses it for good: forbidden, not by this user " * 4
    whole = letter(key=ID.encode(), topic="completed-others", offset=1_234_567, detail=detail)
    longer = letter(offset=13, value=b'{"activationId": "%s"}' % (b"f" * 64), detail=detail)
    for one in (whole, longer):
        _add(table, one, replayed=False)
    print_table(table)
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert any(ID in line.split() for line in lines)
    assert all(len(line) <= columns for line in lines)


def test_a_terminal_too_narrow_for_a_table_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert _table() is None
