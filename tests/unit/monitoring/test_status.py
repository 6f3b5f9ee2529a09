"""Whether the worker says that it is ready."""

from types import SimpleNamespace
from typing import Any

from app.monitoring.monitored import not_ready
from app.monitoring.progress import State, Verdict


def worker(*, stopping: bool) -> Any:
    return SimpleNamespace(
        progress=SimpleNamespace(verdict=Verdict(State.MOVING, None)),
        service=SimpleNamespace(should_stop=stopping),
    )


def test_a_worker_that_was_told_to_stop_is_not_ready_at_once() -> None:
    assert not_ready(worker(stopping=True)) == "stopping"
    assert not_ready(worker(stopping=False)) is None
