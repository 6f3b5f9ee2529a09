"""Standard output and error of a service, and its log file, for which it never waits.

Whoever reads them may hang: a log collector, the runtime of a container, a terminal after Ctrl-S.
The pipe is then full, and a write to it returns when somebody reads again. So may a disk, or a file
system that is another machine's. In the event loop that stops everything, the answers to signals
included; and a thread that wants to say so waits for the lock of the handler that writes.

This is done below logging, for what is printed counts too, and Faust chooses its own handlers.
"""

import atexit
import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable

ROOM = 1024 * 1024
"""Bytes that wait to be written; as many more may be on their way."""

LAST_SECONDS = 2.0
"""At the end of the process, for what waits then."""


class DetachedStream(io.TextIOBase):
    """A text stream that a thread of its own writes to a file; lines without room are left out.

    Args:
        fd: of the file.
        note: the line that stands in place of so many that were left out.
        room: bytes that may wait.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, fd: int, *, note: Callable[[int], str], room: int = ROOM) -> None:
        super().__init__()
        self.left_out = 0
        """Lines, since the start."""
        self._fd = fd
        self._note = note
        self._room = room
        # Its lock is reentrant: a signal or the cycle collector may log in the middle of a write.
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._writing = False
        self._gap = False
        """Whether anything was left out since the thread last took what waits. `print` writes the
        end of a line by itself.
        """
        self._dropped = 0
        """Lines of the gap."""
        self._failed = 0
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def write(self, text: str) -> int:
        """Have it written, or leave it out; returns at once."""
        data = text.encode(self.encoding, self.errors)
        with self._changed:
            full = self._size + len(data) > self._room
            # What follows a gap waits until the gap has its note, which stands at its place.
            if self._waiting and (full or self._gap):
                self._gap = True
                self._dropped += data.count(b"\n")
                self.left_out += data.count(b"\n")
            elif data:
                self._waiting.append(data)
                self._size += len(data)
                self._changed.notify_all()
        return len(text)

    def drain(self, seconds: float) -> bool:
        """Wait until everything is written, for so long at most; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._writing, max(0.0, seconds)
            )

    def flush(self) -> None:
        """Do nothing: whoever flushes would wait."""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The file that is written to."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data, self._waiting, self._size = b"".join(self._waiting), [], 0
                dropped, self._dropped, self._gap = self._dropped, 0, False
                failed, self._failed = self._failed, 0
                self._writing = True
            if failed and self._put(self._noted(failed)):
                failed = 0
            if not self._put(data):
                lost = data.count(b"\n")
                failed += lost
                self.left_out += lost
            if dropped and not self._put(self._noted(dropped)):
                failed += dropped
            with self._changed:
                self._failed = failed
                self._writing = False
                self._changed.notify_all()

    def _noted(self, count: int) -> bytes:
        return self._note(count).encode(self.encoding, self.errors)

    def _put(self, data: bytes) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody who has the file, too, wants it so
                select.select([], [self._fd], [])
            except OSError:  # no room on the disk, or nobody reads any more
                return False
        return True


def detach_standard_streams(note: Callable[[int], str]) -> None:
    """Put detached streams in place of standard output and error.

    Not where something else stands in their place already. Two that are one file keep the order of
    what is written to them.

    Args:
        note: as that of `DetachedStream`.
    """
    for name, fd in (("stderr", 2), ("stdout", 1)):
        stream = getattr(sys, name)
        if isinstance(stream, DetachedStream) or not _is_file(stream, fd):
            continue
        stream.flush()
        known = next((one for one in _detached if os.path.sameopenfile(one.fileno(), fd)), None)
        detached = known or DetachedStream(fd, note=note)
        # The second is what Faust restores, and what Python falls back to.
        setattr(sys, name, detached)
        setattr(sys, f"__{name}__", detached)
        if known is None:
            _keep(detached)


def open_detached(path: str, note: Callable[[int], str]) -> DetachedStream:
    """Open a file to append to it.

    Args:
        path: of the file.
        note: as that of `DetachedStream`.

    Raises:
        OSError: it cannot be opened.
    """
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return _keep(DetachedStream(fd, note=note))


def drain_detached(seconds: float = LAST_SECONDS) -> None:
    """Wait until what was logged and printed is written, for so long at most."""
    until = time.monotonic() + seconds
    for stream in _detached:
        stream.drain(until - time.monotonic())


def lines_left_out() -> int:
    """Lines of standard output and error and of the log file, since the start."""
    return sum(stream.left_out for stream in _detached)


_detached: list[DetachedStream] = []


def _keep(stream: DetachedStream) -> DetachedStream:
    _detached.append(stream)
    atexit.unregister(drain_detached)
    atexit.register(drain_detached)
    return stream


def _is_file(stream: object, fd: int) -> bool:
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == fd
    except (OSError, ValueError):  # without a file, or closed
        return False
