"""What `persister-gateway` answers without starting."""

import pytest

from app.version import VERSION
from openwhisk.gateway.serving import main


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["persister-gateway", *arguments])
    return main()


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(monkeypatch, "--version") == 0
    assert capsys.readouterr() == (f"persister-gateway {VERSION}\n", "")


def test_the_help_has_the_name_that_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "--help") == 0
    assert capsys.readouterr().out.startswith("Usage: persister-gateway [")


@pytest.mark.parametrize("arguments", [["--verison"], ["serve"], ["--config", "--version"]])
def test_anything_else_is_an_error_that_names_it(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, *arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert f"Error: unexpected arguments: {' '.join(arguments)}" in errors
