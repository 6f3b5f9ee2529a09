"""The process that reads large documents, as the gateway sees it.

In a thread, a single call of a JSON decoder would keep the event loop waiting for as long as it
reads the document. `concurrent.futures` has process pools, but their processes outlive a gateway
that is killed and start a further one that looks after semaphores, and such a pool has no way to
end a call that has begun.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO, Final, NamedTuple

import msgspec

from app.process.words import system_reason
from models.roles import TopicRole
from openwhisk.gateway.counts import Document
from openwhisk.gateway.decoding import OUT_OF_MEMORY, Answer, Question, receive, send
from openwhisk.gateway.records import Record

logger = logging.getLogger(__name__)

_NOT_FOR_IT: Final = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
"""A terminal or a supervisor may send them to all processes of a gateway, which finishes first what
is in flight.
"""

_answer = msgspec.msgpack.Decoder(Answer).decode


class _Process(NamedTuple):
    running: subprocess.Popen[bytes]
    questions: IO[bytes]
    answers: IO[bytes]


class Decoder:
    """Decides which documents the gateway accepts, as `Taking` does, in a process of its own.

    The process is started for the first document, and again if it has ended. A document that ends
    it, because it takes too much memory or time, is not accepted.

    Args:
        role: as in `Taking`.
        max_bytes: the same.
        look_at_logs: called for each accepted record with whether its `logs` have a log line.
        patience: seconds that a document may take, whether or not the process gets any CPU time.
    """

    def __init__(
        self,
        role: TopicRole,
        max_bytes: int,
        look_at_logs: Callable[[bool], None],
        *,
        patience: float,
    ) -> None:
        self._arguments = (role.value, str(max_bytes))
        self._look_at_logs = look_at_logs
        self._patience = patience
        self._process: _Process | None = None
        self._lock = threading.Lock()
        """Held to start the process, and to stop it for good."""
        self._stopped = False

    @property
    def pid(self) -> int | None:
        """The number of the process, if it was started."""
        return self._process.running.pid if self._process else None

    def take(self, document: Document, now: int, path_id: str | None = None) -> Record | None:
        """As `Taking.take`; blocks, and must not be called by two threads at a time.

        Raises:
            RuntimeError: reading the document failed in a way that is not foreseen.
        """
        try:
            process = self._running()
        except OSError as error:
            logger.error(  # noqa: TRY400 - one line
                "cannot start a process to read large documents: %s; they go to CouchDB",
                system_reason(error),
            )
            return None
        if process is None:
            return None
        late = threading.Event()
        timer = threading.Timer(self._patience, _give_up, (process, late))
        timer.start()
        try:
            send(process.questions, Question(now, path_id), document)
            head, message, stored = receive(process.answers)
        except (OSError, EOFError):
            self._ended(process, len(document), late=late.is_set())
            return None
        finally:
            timer.cancel()
        answer = _answer(head)
        if answer.error:
            raise RuntimeError(answer.error)
        if answer.id is None:
            return None
        self._look_at_logs(answer.has_line)
        return Record(answer.id, message, answer.updated, stored, answer.revision)

    def stop(self) -> None:
        """End the process for good, whatever it is doing."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.running.kill()
                self._process.running.wait()

    def _running(self) -> _Process | None:
        """The process; None if it was stopped for good."""
        with self._lock:
            if self._stopped:
                return None
            if self._process is not None and self._process.running.poll() is not None:
                _close(self._process)
                self._process = None
            if self._process is None:
                self._process = _started(self._arguments)
            return self._process

    def _ended(self, process: _Process, size: int, *, late: bool) -> None:
        """The process has ended, or is ending, with a document of `size` bytes."""
        process.running.kill()
        code = process.running.wait()
        if not self._stopped:
            logger.error(
                "the process that reads large documents ended (%s) while it read one of %d bytes, "
                "which goes to CouchDB",
                f"no answer within {self._patience:g} s" if late else _why(code),
                size,
            )


def _started(arguments: Iterable[str]) -> _Process:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_IT)
    try:
        running = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "openwhisk.gateway.decoding", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert running.stdin is not None  # noqa: S101 - both are pipes
    assert running.stdout is not None  # noqa: S101
    return _Process(running, running.stdin, running.stdout)


def _give_up(process: _Process, late: threading.Event) -> None:
    """End a process that was stopped, or hangs, and note that this is why."""
    late.set()
    process.running.kill()


def _close(process: _Process) -> None:
    for pipe in (process.questions, process.answers):
        with suppress(OSError):  # what was not written yet
            pipe.close()


def _environment() -> dict[str, str]:
    """Without what is set for the gateway, such as passwords, and with the modules it found."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GATEWAY_", "PERSISTER_"))
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}


def _why(code: int) -> str:
    """What the exit code of the process says."""
    if code == OUT_OF_MEMORY:
        return "out of memory"
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
