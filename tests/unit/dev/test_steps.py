from pathlib import Path

import pytest

from dev.steps import SetupError, command, once


class Build:
    def __init__(self, *, fails: bool = False) -> None:
        self.runs = 0
        self.fails = fails

    def __call__(self) -> None:
        self.runs += 1
        if self.fails:
            raise SetupError("no network")


def test_a_step_runs_once_for_a_key_and_again_for_another(tmp_path: Path) -> None:
    build = Build()
    for key in ["pins 1", "pins 1", "pins 2", "pins 2"]:
        once("packages", key, tmp_path / "stamp", build)
    assert build.runs == 2


def test_a_step_that_failed_runs_again(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    once("packages", "pins 1", stamp, Build())
    with pytest.raises(SetupError, match="no network"):
        once("packages", "pins 2", stamp, Build(fails=True))
    again = Build()
    once("packages", "pins 1", stamp, again)
    assert again.runs == 1


def test_a_failed_command_shows_how_its_output_ends() -> None:
    script = "print('start' + 5000 * '.'); print('the reason'); raise SystemExit(3)"
    with pytest.raises(SetupError, match="exit code 3 from: python3 -c") as failure:
        command(["python3", "-c", script])
    assert str(failure.value).endswith("the reason\n")
    assert "start....." not in str(failure.value).partition("\n")[2]
