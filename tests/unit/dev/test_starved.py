"""How long services have waited for a core, by what the kernel tells of their threads."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dev.starved import Deadline, Starved, Stopwatch, ThisProcess

WORKER: Any = SimpleNamespace(pid=7)
BROKER: Any = SimpleNamespace(pid=9)


class Ended:
    """A service that is not running."""

    @property
    def pid(self) -> int:
        raise RuntimeError


def told(folder: Path, pid: int, thread: int, waited: float) -> None:
    file = folder / f"{pid}/task/{thread}/schedstat"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"123 {int(waited * 1e9)} 5\n")


def test_the_thread_that_waited_longest_counts(tmp_path: Path) -> None:
    starved = Starved(tmp_path)
    told(tmp_path, 7, 1, 10)
    told(tmp_path, 9, 2, 50)
    assert starved.since_last([WORKER, BROKER, Ended()]) == 0
    told(tmp_path, 7, 1, 12)
    told(tmp_path, 9, 2, 51.5)
    assert starved.since_last([WORKER, BROKER]) == 2
    assert starved.since_last([WORKER, BROKER]) == 0


def test_what_is_new_or_gone_has_not_waited(tmp_path: Path) -> None:
    starved = Starved(tmp_path)
    told(tmp_path, 7, 1, 10)
    starved.since_last([WORKER])
    told(tmp_path, 9, 2, 30)
    assert starved.since_last([BROKER]) == 0
    assert starved.since_last([]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells it")
def test_the_kernel_tells_it_of_this_process() -> None:
    assert Starved()._look([ThisProcess()])


def test_a_deadline_moves_on_while_there_is_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = 100.0, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(Starved, "since_last", lambda *_: waited)
    deadline = Deadline(10, list)
    now, waited = 108.0, 5.0
    assert deadline.left() == 7
    now, waited = 114.0, 0.0
    assert deadline.left() == 1
    now, waited = 116.0, 1000.0
    assert deadline.left() == 14, "not for ever"
    assert deadline.left() == 14


def test_a_stopwatch_stands_while_there_is_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = 100.0, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(Starved, "since_last", lambda *_: waited)
    watch = Stopwatch(WORKER, BROKER)
    now, waited = 105.0, 1.5
    assert watch.seconds() == 2
    now, waited = 106.0, 0.0
    assert watch.seconds() == 1
