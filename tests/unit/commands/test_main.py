"""`persister`, as a shell runs it from any folder."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands.main import COMMANDS, main
from app.doctor import State
from app.doctor.machine import examine_machine
from app.settings import WorkerSettings
from app.version import VERSION

PROJECT = Path(__file__).parents[3]


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PERSISTER_")}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "app.commands.main", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(PROJECT), "COLUMNS": "200", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_version_is_ours(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"persister {VERSION}\n"
    assert run(tmp_path, "gateway", "--version").stdout == f"persister gateway {VERSION}\n"


def test_every_command_is_listed(tmp_path: Path) -> None:
    listed = run(tmp_path, "--help").stdout
    assert all(f"  {command} " in listed for command in COMMANDS)


@pytest.mark.parametrize("command", ["worker", "setup"])
def test_a_command_explains_itself(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, command, "--help")
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"worker"}))
def test_every_other_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


@pytest.mark.parametrize("command", ["worker", "gateway", "config", "status"])
def test_a_misspelt_setting_is_one_message(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, command, PERSISTER_LOGMODE="in-record")
    assert result.returncode == 2
    assert "PERSISTER_LOGMODE is no setting; PERSISTER_LOG_MODE" in result.stderr
    assert "Traceback" not in result.stderr


def test_variables_that_faust_would_die_of_mean_nothing(tmp_path: Path) -> None:
    port = "tcp://10.0.0.1:80"
    mistakes = {"FAUST_WEB_PORT": port, "F_CONSOLE_PORT": port, "FAUST_BLOCKING_TIMEOUT": "abc"}
    result = run(tmp_path, "worker", "--help", FAUST_LOOP="none", **mistakes)
    assert result.returncode == 0, result.stderr


def test_a_working_folder_of_faust_s_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    result = run(tmp_path, "worker", FAUST_WORKDIR=str(tmp_path / "none"))
    assert result.returncode == 2
    assert result.stderr.startswith("Error: FAUST_WORKDIR: there is no such folder")


def test_a_working_folder_that_was_deleted_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    result = CliRunner().invoke(main, ["worker"])
    assert result.exit_code == 2
    assert result.output.startswith("Error: the working folder is not there any more (No such")
    (found,) = [f for f in examine_machine(WorkerSettings()) if f.what == "data folder"]
    assert found.state is State.WRONG
    assert "set PERSISTER_DATADIR to an absolute path" in found.detail


@pytest.mark.parametrize("module", ["faust", "aiokafka", "aiohttp", "pydantic", "rich"])
def test_what_is_not_needed_to_tell_of_a_command_is_not_imported(module: str) -> None:
    look = f"import sys, app.commands.main; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", look], cwd=PROJECT, check=True, timeout=60)  # noqa: S603


def test_the_gateway_lists_its_settings(tmp_path: Path) -> None:
    result = run(tmp_path, "gateway", "--config", GATEWAY_LISTEN_PORT="5999")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "GATEWAY_LISTEN_PORT=5999  (environment)" in lines
    assert "GATEWAY_LISTEN_HOST=127.0.0.1  (default)" in lines


def test_the_gateway_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    started = [sys.executable, "-m", "openwhisk.gateway", "--port"]
    ran = subprocess.run(  # noqa: S603
        started,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2


@pytest.mark.parametrize("command", ["worker", "gateway", "audit --every 1h --port"])
def test_a_port_that_is_taken_is_one_line_and_exit_code_1(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = [one for one in (*command.split(), port) if command.startswith("audit")]
        ran = run(
            tmp_path,
            *(arguments or [command]),
            PERSISTER_WEB_PORT=port,
            GATEWAY_LISTEN_PORT=port,
            PERSISTER_KAFKA_URL="kafka://127.0.0.1:1",
        )
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert f"port {port} (Address already in use)" in line


def test_a_log_file_has_the_log(tmp_path: Path) -> None:
    log, password = tmp_path / "worker.log", tmp_path / "password"
    log.write_text("what was there\n")
    password.write_text("secret")
    password.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = {"PERSISTER_COUCHDB_PASSWORD_FILE": str(password), "PERSISTER_WEB_PORT": port}
        ran = run(tmp_path, "worker", "--logfile", str(log), **settings)
    before, warning = log.read_text().splitlines()
    assert before == "what was there"
    assert "every user of this machine may read" in warning
    (error,) = ran.stderr.splitlines()
    assert f"port {port} (Address already in use)" in error
    assert (ran.returncode, ran.stdout) == (1, "")


def test_a_log_file_that_cannot_be_opened_is_one_message(tmp_path: Path) -> None:
    ran = run(tmp_path, "worker", "--logfile", str(tmp_path / "none" / "log"))
    file = tmp_path / "none" / "log"
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"Error: --logfile {file}: No such file or directory\n"


def test_a_worker_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    result = run(tmp_path, "status", PERSISTER_WEB_PORT="1")
    assert (result.returncode, result.stdout) == (2, "")
    assert "PERSISTER_WEB_PORT" in result.stderr
