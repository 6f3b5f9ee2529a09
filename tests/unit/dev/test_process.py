import random
import sys
from pathlib import Path

import pytest

from dev.process import PORTS, Service, free_port
from dev.steps import SetupError

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPS
FAILS = "raise SystemExit('no such setting: x')"


def service(folder: Path, script: str) -> Service:
    """A process that counts as ready once it has printed something."""
    log = folder / "test.log"
    return Service(
        "test",
        [sys.executable, "-c", script],
        port=free_port(),
        folder=folder,
        ready=lambda: "up" in log.read_text(),
    )


def test_it_is_stopped_and_started_again_on_its_port(tmp_path: Path) -> None:
    process = service(tmp_path, SLEEPS)
    process.start()
    first = process.pid
    process.stop()
    assert not process.running
    process.start()
    try:
        assert process.running
        assert process.pid != first
    finally:
        process.kill()


def test_terminate_tells_the_signal_that_ended_it(tmp_path: Path) -> None:
    process = service(tmp_path, SLEEPS)
    process.start()
    assert process.terminate() == -15


def test_a_process_that_outlives_its_deadline_is_an_error_until_it_is_killed(
    tmp_path: Path,
) -> None:
    process = service(tmp_path, IGNORES_SIGTERM)
    process.start()
    with pytest.raises(TimeoutError, match="test is still running"):
        process.terminate(timeout=0)
    assert process.running
    process.stop(timeout=0)
    assert not process.running


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    process = service(tmp_path, FAILS)
    with pytest.raises(SetupError, match=r"exit code 1[^$]*no such setting: x"):
        process.start()


def test_without_a_start_there_is_no_pid_and_nothing_to_stop(tmp_path: Path) -> None:
    process = service(tmp_path, SLEEPS)
    process.stop()
    process.kill()
    with pytest.raises(RuntimeError, match="never started"):
        _ = process.pid


def test_ports_stay_clear_of_those_that_clients_get() -> None:
    assert all(free_port() in PORTS for _ in range(20))


def test_the_port_of_a_stopped_service_is_not_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = free_port()  # nothing listens there
    drawn = [stopped, *PORTS]
    monkeypatch.setattr(random, "choice", lambda _: drawn.pop(0))
    assert free_port() != stopped
