"""Output that cannot be written ends a command in one line, and none at all in silence."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.commands.main import main
from dev import paths

COMMANDS = [["--version"], ["config"], ["config", "--json"]]


def persister(*arguments: str, line: str = 'exec "$@"') -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PERSISTER_")}
    return subprocess.run(  # noqa: S603 - ours
        ["/bin/sh", "-c", line, "sh", sys.executable, "-m", "app.commands.main", *arguments],
        env=inherited | {"PYTHONPATH": str(paths.PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    ran = persister(*arguments, line='exec "$@" >/dev/full')
    assert ran.returncode == 2
    assert ran.stderr == "Error: the output cannot be written: No space left on device\n"


def unread(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a module whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PERSISTER_")}
    try:
        return subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-m", *arguments],
            env=inherited | {"PYTHONPATH": str(paths.PROJECT)},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_when_nobody_reads_on_that_is_not_something_found(arguments: list[str]) -> None:
    ran = unread("app.commands.main", *arguments)
    assert (ran.returncode, ran.stderr) == (2, "")


def test_a_list_of_faults_of_which_only_some_is_read_ends_as_any_tool() -> None:
    ran = unread("dev.chaos", "--list")
    assert (ran.returncode, ran.stderr) == (-signal.SIGPIPE, "")


def test_a_closed_output_is_no_trouble() -> None:
    ran = persister("config", line='exec "$@" >&-')
    assert (ran.returncode, ran.stderr) == (0, "")


STARTED = """
from app.process.surroundings import open_standard_streams
open_standard_streams()
import asyncio, socket, uvloop
async def run():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    print("listening", flush=True)
    server.close()
    await server.wait_closed()
uvloop.run(run())
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_runs_with_streams_that_are_closed(closed: str) -> None:
    ran = subprocess.run(  # noqa: S603 - ours
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", STARTED],
        cwd=paths.PROJECT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran


INTERRUPTED = """
import runpy, sys
_, module, *arguments = sys.argv
class Interrupts:
    def find_spec(self, name, *_):
        if name == module:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
sys.argv = ["persister", *arguments]
runpy.run_module("app.commands.main", run_name="__main__")
"""


@pytest.mark.parametrize(
    "module, command",
    [("click", "config"), ("app.commands.config", "config"), ("app.application", "worker")],
)
def test_ctrl_c_during_the_imports_is_no_traceback(
    module: str, command: str, tmp_path: Path
) -> None:
    ran = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", INTERRUPTED, module, command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(paths.PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 130


STOPPED = """
import os, runpy, signal, sys
_, number, module, run, *arguments = sys.argv
class Stops:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.Signals[number])
sys.meta_path.insert(0, Stops())
sys.argv = [run, *arguments]
runpy.run_module(run, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(
    "module, arguments",
    [
        ("faust", ["app.commands.main", "worker"]),
        ("app.application", ["app.commands.main", "worker"]),
        ("aiohttp", ["app.commands.main", "gateway"]),
        ("aiohttp", ["openwhisk.gateway"]),
    ],
)
def test_a_service_that_is_stopped_during_its_imports_has_stopped(
    number: str, module: str, arguments: list[str], tmp_path: Path
) -> None:
    ran = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", STOPPED, number, module, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(paths.PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_ctrl_c_is_neither_success_nor_something_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.commands.config.load", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["config"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"
