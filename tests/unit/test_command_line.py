"""The commands of the README, as a shell runs them in the project's folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
FAUST = Path(sys.executable).parent / "faust"


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PERSISTER_", "PYTHONPATH"))}
    return subprocess.run(  # noqa: S603
        [FAUST, "-A", "app", *arguments],
        cwd=PROJECT,
        env={**kept, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["worker", "simulate", "dead-letters", "audit"])
def test_the_application_and_its_commands_are_found(command: str) -> None:
    result = run(command, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


def test_a_wrong_setting_is_one_message_without_a_traceback() -> None:
    result = run("worker", PERSISTER_PARTITIONS="many", PERSISTER_COUCHDB_URL="http://u:geheim@h")
    assert result.returncode == 2
    assert "PERSISTER_PARTITIONS='many'" in result.stderr
    assert "PERSISTER_COUCHDB_URL" in result.stderr
    assert "geheim" not in result.stderr
    assert "Traceback" not in result.stderr
