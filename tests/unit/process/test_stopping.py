"""A stop that hangs ends the process."""

import logging
import threading

import pytest

from app.process.stopping import FORCED, Watchdog


def test_a_stop_that_hangs_is_ended_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    watchdog = Watchdog(0.01, why=lambda: "Kafka does not answer", end=end)
    with caplog.at_level(logging.ERROR):
        watchdog.start()
        watchdog.start()
        assert ended.wait(10)
    assert codes == [FORCED]
    assert "Not stopped after 0.01 s, because Kafka does not answer:" in caplog.text


def test_it_keeps_no_process_alive() -> None:
    watchdog = Watchdog(3600)
    watchdog.start()
    assert all(
        thread.daemon for thread in threading.enumerate() if isinstance(thread, threading.Timer)
    )
