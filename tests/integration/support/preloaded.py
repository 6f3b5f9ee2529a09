"""Starts workers and commands from a process that has imported everything already.

Most of what a start costs is the import of Faust, aiohttp and the rest, and the tests start
hundreds of processes. So each process of pytest keeps one that does nothing but import, once, and
fork. What is tested is what it was: a process and a session of its own, with its environment,
arguments, folder and output, which takes signals and has an exit code. That an interpreter starts
the same way by itself is proven elsewhere: by the unit tests of the command line, the attacks on
commands, and the fault suite.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from app.commands.main import COMMANDS
from dev import paths
from dev.process import Process, end_with_parent, spawn_process

MODULES = (
    "agents",
    "app.application",
    "app.commands.for_faust",
    *sorted({where.module for where in COMMANDS.values()}),
    "faust.cli.faust",
)

READ_AT_THE_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "FAUST", "F_")
"""Beginnings of the variables that the interpreter, or an import, reads once."""

LONGEST_ORDER = 128 * 1024
"""Bytes: arguments and an environment."""


def start(
    command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None, out: int, err: int
) -> Process:
    """As `dev.process.spawn_process`; forks what is a module of this Python."""
    given = dict(os.environ if env is None else env)
    if sys.platform != "linux" or [*command[:2]] != [sys.executable, "-m"]:
        return spawn_process(command, folder=folder, env=env, out=out, err=err)
    parent = _parent()
    if not parent.fits(given):
        return spawn_process(command, folder=folder, env=env, out=out, err=err)
    return parent.fork({"arguments": command[2:], "folder": str(folder), "env": given}, out, err)


class Forked:
    """A process that another one forked for us; it behaves like `subprocess.Popen`."""

    def __init__(self, pid: int, parent: "_Parent") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._parent = parent
        # Its number is not given to another process before `poll` has asked for its end.
        self._file = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code; None while it is running."""
        if self.returncode is None:
            self.returncode = self._parent.ended(self.pid)
            if self.returncode is not None:
                os.close(self._file)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; raises `subprocess.TimeoutExpired`."""
        if self.poll() is None:
            ends = select.poll()
            ends.register(self._file, select.POLLIN)
            ends.poll(None if timeout is None else timeout * 1000)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Send SIGTERM; a no-op if it has ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL; a no-op if it has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class _Parent:
    """The process that has imported everything, seen from here."""

    def __init__(self) -> None:
        self._env = {**os.environ, "PYTHONPATH": str(paths.PROJECT)}
        self._asking = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=self._env,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._end)

    def fits(self, env: Mapping[str, str]) -> bool:
        """Whether what is read at the start is the same in this environment."""
        return _read_at_the_start(env) == _read_at_the_start(self._env)

    def fork(self, order: Mapping[str, object], out: int, err: int) -> Forked:
        return Forked(int(self._ask(order, out, err)), self)

    def ended(self, pid: int) -> int | None:
        told = self._ask({"ended": pid})
        return int(told) if told else None

    def _ask(self, order: Mapping[str, object], *files: int) -> bytes:
        with self._asking:
            socket.send_fds(self._control, [json.dumps(order).encode()], list(files))
            answer = self._control.recv(LONGEST_ORDER)
        if not answer:
            raise RuntimeError(f"the process that forks has ended: {self._process.wait()}")
        return answer.strip()

    def _end(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _parent() -> _Parent:
    return _Parent()


def _read_at_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_THE_START)}


def _serve(control: socket.socket) -> list[str]:
    """Fork as ordered, until nobody orders; returns in each process that was forked.

    Returns:
        Its module and arguments.
    """
    while True:
        said, files, _, _ = socket.recv_fds(control, LONGEST_ORDER, 2)
        if not said:
            os._exit(0)
        order = json.loads(said)
        if "ended" in order:
            pid, status = os.waitpid(order["ended"], os.WNOHANG)
            control.send(b"%d" % os.waitstatus_to_exitcode(status) if pid else b" ")
            continue
        child = os.fork()
        if not child:
            control.close()
            _become(order["folder"], order["env"], files)
            return list(order["arguments"])
        for file in files:
            os.close(file)
        control.send(b"%d" % child)


def _become(folder: str, env: Mapping[str, str], files: Sequence[int]) -> None:
    os.setsid()
    end_with_parent()
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, *files)):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)


def _main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    module, *arguments = _serve(control)
    # Faust keeps this very list.
    sys.argv[:] = [module, *arguments]
    sys.path[0] = str(Path.cwd())
    if hasattr(sys.modules.get(module), "__path__"):
        module += ".__main__"
    sys.modules.pop(module, None)  # it is run, not imported
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
