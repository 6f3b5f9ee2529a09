"""Reads the CPU time and memory of processes, and the percentiles of durations."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

_PROC = Path("/proc")
_LISTENS = "0A"
"""A socket's state in `/proc/net/tcp`."""

_PARENT, _USED, _USED_BY_ENDED = 1, slice(11, 13), slice(13, 15)
"""Fields of `/proc/PID/stat` after the name: CPU time of the process, and of children that it has
waited for."""

_IDLE = 0.05
_LOOK_SECONDS = 1.0
_PATIENCE = 30.0


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has taken, its threads and the kernel for it included."""
    return _seconds(_stat(pid)[_USED])


class Family:
    """A process and all below it, of which some may have ended: a database with its helpers.

    Args:
        pid: of the eldest.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def cpu_seconds(self) -> float:
        """CPU time that all of them have taken."""
        children = defaultdict(list)
        used = {}
        for pid, stat in _stats():
            children[int(stat[_PARENT])].append(pid)
            used[pid] = _seconds(stat[_USED]) + _seconds(stat[_USED_BY_ENDED])
        total, open_ = 0.0, [self._pid]
        while open_:
            pid = open_.pop()
            total += used[pid]
            open_ += children[pid]
        return total

    async def idle(self) -> float | None:
        """The CPU time that they have taken, once they do next to nothing.

        None when they go on: somebody else uses them.
        """
        before = self.cpu_seconds()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
            now = self.cpu_seconds()
            if now - before < _IDLE * _LOOK_SECONDS:
                return now
            before = now
        return None


def server(url: str) -> Family | None:
    """The process that listens at the port of an address; None where it is on another machine."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    sockets = set(_listening(parts.port or 80))
    for pid, _ in _stats():
        try:
            links = {str(file.readlink()) for file in (_PROC / str(pid) / "fd").iterdir()}
        except OSError:  # somebody else's, or it has just ended
            continue
        if links & sockets:
            return Family(pid)
    return None


def _listening(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"


def _stats() -> Iterator[tuple[int, list[str]]]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), _stat(int(folder.name))
            except OSError:
                continue


def _stat(pid: int) -> list[str]:
    content = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    return content.rpartition(")")[2].split()


def _seconds(ticks: Sequence[str]) -> float:
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM")


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the others do not exceed.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
