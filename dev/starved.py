"""For how long processes wanted to run, and the machine had no core for them.

On a busy machine a worker that has everything it needs may still not get on. That is no finding: so
much longer may it take.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

NANOSECONDS = 1e9

MOST = 3.0
"""Times as long as on an idle machine something may take."""

Waited = Mapping[Path, float]
"""Seconds that each thread has waited for a core since it began, by its file."""


class Running(Protocol):
    """A process; its number raises `RuntimeError` while it is not running."""

    @property
    def pid(self) -> int:
        """Its number."""


class ThisProcess:
    """The one that asks."""

    pid = os.getpid()


class Starved:
    """Follows some processes; Linux alone tells this of them.

    Args:
        processes: the kernel's folder of them.
    """

    def __init__(self, processes: Path = Path("/proc")) -> None:
        self._processes = processes
        self._waited: Waited = {}

    def since_last(self, processes: Iterable[Running]) -> float:
        """Seconds that the thread which waited longest has waited since this was last asked."""
        before, self._waited = self._waited, self._look(processes)
        waited = (seconds - before.get(file, seconds) for file, seconds in self._waited.items())
        return max(waited, default=0.0)

    def _look(self, processes: Iterable[Running]) -> Waited:
        files = (
            file
            for pid in _numbers(processes)
            for file in (self._processes / str(pid) / "task").glob("*/schedstat")
        )
        return dict(_read(file) for file in files)


def _numbers(processes: Iterable[Running]) -> Iterator[int]:
    for process in processes:
        with contextlib.suppress(RuntimeError):
            yield process.pid


def _read(file: Path) -> tuple[Path, float]:
    try:
        return file, int(file.read_text(encoding="ascii").split()[1]) / NANOSECONDS
    except OSError:  # the thread has ended
        return file, 0.0


class Deadline:
    """Is over after some seconds in which there was a core for some processes.

    Args:
        seconds: from now on.
        processes: the present ones, whenever they are asked for.
    """

    def __init__(self, seconds: float, processes: Callable[[], Iterable[Running]]) -> None:
        self._end = time.monotonic() + seconds
        self._more = (MOST - 1) * seconds
        self._processes = processes
        self._starved = Starved()
        self._starved.since_last(processes())

    def left(self) -> float:
        """Seconds; below zero when it is over."""
        starved = min(self._starved.since_last(self._processes()), self._more)
        self._more -= starved
        self._end += starved
        return self._end - time.monotonic()


class Stopwatch:
    """Measures seconds without those in which there was no core for one of some processes.

    Args:
        processes: that one waits for, one after the other.
    """

    def __init__(self, *processes: Running) -> None:
        self._starved = [(process, Starved()) for process in processes]
        self._look()
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Since it was made, or since this was last asked."""
        waited = self._look()
        before, self._began = self._began, time.monotonic()
        return self._began - before - waited

    def _look(self) -> float:
        return sum(starved.since_last([process]) for process, starved in self._starved)
