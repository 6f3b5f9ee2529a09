"""A hung event loop ends the process."""

import asyncio
import logging
import threading

import pytest

from app.process.heartbeat import Heartbeat


@pytest.fixture
def ended() -> list[int]:
    return []


def test_beats_keep_it_alive(ended: list[int]) -> None:
    heartbeat = Heartbeat(3, end=ended.append)
    for _ in range(10):
        heartbeat.turn()
        heartbeat.turn()
        heartbeat.turn()
        heartbeat.beat()
    assert not ended


async def test_a_loop_that_runs_is_asked_for_its_beats(ended: list[int]) -> None:
    heartbeat = Heartbeat(0.2, end=ended.append)
    heartbeat.start()
    await asyncio.sleep(0.6)
    heartbeat.stop()
    assert not ended
    await asyncio.sleep(0.1)


async def test_a_loop_that_hangs_is_not_waited_for() -> None:
    ends = threading.Event()
    heartbeat = Heartbeat(0.2, end=lambda _: ends.set())
    heartbeat.start()
    assert ends.wait(5), "nothing in the loop runs meanwhile"
    heartbeat.stop()


def test_without_them_it_says_so_and_ends(
    ended: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat = Heartbeat(3, end=ended.append)
    heartbeat.turn()
    heartbeat.turn()
    heartbeat.turn()
    assert not ended
    heartbeat.turn()
    assert ended == [1]
    assert "event loop has hung for 3 s" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR
    assert "test_without_them_it_says_so_and_ends" in caplog.text


def test_zero_counts_nothing() -> None:
    before = threading.active_count()
    Heartbeat(0).start()
    assert threading.active_count() == before
