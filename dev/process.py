"""A local server process that can be stopped, killed and restarted."""

import atexit
import contextlib
import ctypes
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from dev.starved import Deadline
from dev.steps import LONGEST_OUTPUT_SHOWN, SetupError, say

HOST = "127.0.0.1"

# Below the ports that systems hand out by themselves (from 32768 on Linux, 49152 on macOS):
# a client that keeps trying a stopped server can then not take the server's port by accident.
PORTS = range(20_000, 32_000)

PATIENCE = 10.0
"""Seconds between two lines that say that a service is not ready yet."""

LOOK = 0.1
"""Seconds between two looks whether a service is ready: to answer keeps it from getting ready."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

_known: WeakSet["Service"] = WeakSet()

_reserved: list[socket.socket] = []
"""UDP sockets at the ports that this process chose: see `free_port`."""

# The kernel ends a service when the thread that started it ends, not the process; one thread that
# lives as long as the process starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="start-services")


def free_port() -> int:
    """A free TCP port, which nobody else who asks here gets before this process has ended.

    A service keeps its port while it is stopped, when nothing listens there: another test process
    once started a server at the port of a stopped broker. The UDP port of the same number, which
    no service uses, says whose it is, and the kernel gives it back however the process ends.
    """
    while True:
        port = random.choice(PORTS)  # noqa: S311 - not a secret
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind((HOST, port))
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            mark.close()
        else:
            _reserved.append(mark)
            return port


class Process(Protocol):
    """A process that was started: what is needed of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit code; None while it is running."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended; raises `subprocess.TimeoutExpired`."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


class Spawn(Protocol):
    """Starts a process that ends when this one does."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str] | None,
        out: int,
        err: int,
    ) -> Process:
        """Start it.

        Args:
            command: The program and its arguments.
            folder: Its working folder.
            env: Its whole environment; this process's own without it.
            out: The open file that takes what it prints.
            err: The same of its errors.
        """


class Service:
    """A server process with its port and folder; data survives a stop.

    Attributes:
        name: For messages, and the name of the log file.
        port: Where it listens; the same after each start.
        log_file: What it printed, over all its starts.
        spawn: Starts the process, in place of `spawn_process`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        port: int,
        folder: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the process; `start` starts it.

        Args:
            name: As the attribute.
            command: The program and its arguments.
            port: As the attribute.
            folder: Its working folder and place of the log; must exist.
            ready: Whether it serves requests; called again and again while it starts.
            env: Its whole environment; this process's own without it.
        """
        self.name = name
        self.port = port
        self.log_file = folder / f"{name}.log"
        self._command = [str(argument) for argument in command]
        self._folder = folder
        self._ready = ready
        self.env = env
        self._process: Process | None = None
        self.spawn: Spawn = spawn_process
        _known.add(self)

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError while it is not running."""
        process = self._launched()
        if process.poll() is not None:
            raise RuntimeError(f"{self.name} is not running")
        return process.pid

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Everything it has printed, over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self, timeout: float = 60) -> None:
        """Start it and wait until it serves requests.

        Args:
            timeout: Seconds until it must be ready.

        Raises:
            SetupError: As `wait_until_ready`.
        """
        began = time.monotonic()
        self.launch()
        self.wait_until_ready(timeout)
        say(f"{self.name} ready in {time.monotonic() - began:.1f} s (port {self.port})")

    def launch(self) -> None:
        """Start it without waiting. Raises RuntimeError if it is already running."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        with self.log_file.open("ab") as log:
            self._process = self.spawn(
                self._command,
                folder=self._folder,
                env=self.env,
                out=log.fileno(),
                err=log.fileno(),
            )
        atexit.register(self.stop)

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Wait until it serves requests.

        Args:
            timeout: Seconds until it must be ready, without those when there was no core for it.

        Raises:
            SetupError: It ended, or was not ready in time and was killed; the message carries the
                end of its log.
        """
        process = self._launched()
        deadline = Deadline(timeout, lambda: [self])
        began = said = time.monotonic()
        while not self._ready():
            if process.poll() is not None or deadline.left() < 0:
                self.kill()
                raise SetupError(
                    f"{self.name} did not start (exit code {process.returncode}); its log ends:\n"
                    + self.log()[-LONGEST_OUTPUT_SHOWN:]
                )
            if (now := time.monotonic()) - said >= PATIENCE:
                said = now
                say(f"{self.name} is starting ({now - began:.0f} s); its log: {self.log_file}")
            time.sleep(LOOK)

    def terminate(self, timeout: float = 20) -> int:
        """Send SIGTERM and wait for it to exit.

        Args:
            timeout: Seconds it may take.

        Returns:
            As `wait`.

        Raises:
            TimeoutError: As `wait`.
        """
        self._launched().terminate()
        return self.wait(timeout)

    def wait(self, timeout: float = 20) -> int:
        """Wait for it to exit by itself.

        Args:
            timeout: Seconds it may take, without those in which there was no core for it.

        Returns:
            Its exit code; the negative number of the signal that ended it.

        Raises:
            TimeoutError: It is still running.
        """
        process, deadline = self._launched(), Deadline(timeout, lambda: [self])
        while True:
            left = max(0.0, deadline.left())
            try:
                code = process.wait(left)
            except subprocess.TimeoutExpired:
                if deadline.left() <= 0:
                    message = f"{self.name} is still running after {timeout:g} s"
                    raise TimeoutError(message) from None
            else:
                atexit.unregister(self.stop)
                return code

    def stop(self, timeout: float = 20) -> None:
        """Send SIGTERM, and SIGKILL if it has not exited after `timeout` seconds."""
        if self.running:
            with contextlib.suppress(TimeoutError):
                self.terminate(timeout)
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL; a no-op if it has exited."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def _launched(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process


def services() -> list[Service]:
    """Those that this process has described, running or not."""
    return list(_known)


def spawn_process(
    command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None, out: int, err: int
) -> Process:
    """Start a process as `Spawn` says it."""
    return _starter.submit(
        subprocess.Popen,
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        cwd=folder,
        env=env,
        start_new_session=True,  # Ctrl-C is for the command, not for what it talks to
        preexec_fn=end_with_parent,  # one system call, nothing that locks
    ).result()


def end_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends (on Linux)."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
