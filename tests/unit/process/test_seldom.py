"""What is said a thousand times is heard once in a while."""

import logging
from collections.abc import Callable, Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from app.process.seldom import STRANGERS_CAUSE, Malformed, Seldom, calm_web_server
from tests.fakes.time import Time


@pytest.fixture
def time() -> Time:
    return Time()


class Later:
    """What is to be called later, when a test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> Callable[[], object]:
        self.asked.append((seconds, call))
        return self.asked.clear

    def pass_by(self, time: Time) -> float:
        """Let the time pass until the next call; returns how much."""
        ((seconds, call),) = self.asked
        self.asked.clear()
        time.now += seconds
        call()
        return seconds


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def logger(time: Time, later: Later) -> Iterator[logging.Logger]:
    noisy = logging.getLogger("tests.noisy")
    seldom = Seldom(30, clock=time.clock, later=later)
    noisy.addFilter(seldom)
    yield noisy
    noisy.removeFilter(seldom)


def test_a_message_passes_once_in_a_period_whatever_its_arguments(
    logger: logging.Logger, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for attempt in range(100):
        logger.error("Unable to connect to %s: %s", "a:9092", attempt)
    time.now += 30
    logger.error("Unable to connect to %s: %s", "b:9092", 100)
    assert caplog.messages == [
        "Unable to connect to a:9092: 0",
        "Unable to connect to b:9092: 100 (99 more before)",
    ]


def test_what_did_not_pass_is_counted_when_the_period_ends(
    logger: logging.Logger, time: Time, later: Later, caplog: pytest.LogCaptureFixture
) -> None:
    logger.warning("Sent 1 record of %s", "a")
    time.now += 10
    logger.warning("Another message")
    for _ in range(3):
        logger.warning("Sent 1 record of %s", "a")
    logger.warning("Another message")
    assert len(caplog.messages) == 2
    assert later.pass_by(time) == 20
    assert caplog.messages[2:] == ["Sent 1 record of a (2 more before)"]
    assert later.pass_by(time) == 10
    assert caplog.messages[3:] == ["Another message"]
    assert later.asked == []

    logger.warning("Sent 1 record of %s", "b")  # again within a period
    assert later.pass_by(time) == 20
    assert caplog.messages[4:] == ["Sent 1 record of b"]
    time.now += 30
    logger.warning("Sent 1 record of %s", "c")
    assert caplog.messages[5:] == ["Sent 1 record of c"]


def test_where_no_thread_can_begin_it_is_counted_on_the_next_one(
    time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    def never(*_: object) -> Callable[[], object]:
        raise RuntimeError("can't start new thread")

    quiet = logging.getLogger("tests.no_thread")
    quiet.addFilter(Seldom(30, clock=time.clock, later=never))
    for _ in range(3):
        quiet.warning("again")
    time.now += 30
    quiet.warning("again")
    assert caplog.messages == ["again", "again (2 more before)"]


def test_of_what_is_held_no_traceback_is(
    logger: logging.Logger, later: Later, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        logger.error("It failed", exc_info=ValueError("with its frames"))
    later.pass_by(time)
    assert [bool(record.exc_info) for record in caplog.records] == [True, False]


def test_different_messages_do_not_hold_each_other_back(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.error("Unable to connect to %s", "a:9092")
    logger.warning("Marking the coordinator dead")
    assert len(caplog.messages) == 2


def test_kinds_of_a_message_do_not_hold_each_other_back(
    logger: logging.Logger, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for record in range(100):
            kind = ("not-json", "too-large")[record % 2]
            logger.warning("Sent record %d: %s", record, kind, extra={"kind": kind})
        time.now += 30
    assert caplog.messages == [
        "Sent record 0: not-json",
        "Sent record 1: too-large",
        "Sent record 0: not-json (49 more before)",
        "Sent record 1: too-large (49 more before)",
    ]


def test_a_message_that_is_rare_is_logged_as_it_is(
    logger: logging.Logger, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        logger.error("100% of it failed")
        time.now += 31
    assert caplog.messages == ["100% of it failed"] * 2


def test_a_request_that_is_no_http_is_one_line_and_no_error(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    logger.filters.insert(0, Malformed())
    try:
        for error in (BadHttpMessage("Authorization secret"), RuntimeError("of our own")):
            for _ in range(2):
                logger.error("Error handling request from %s", "10.0.0.1", exc_info=error)
    finally:
        logger.filters.pop(0)
    assert caplog.messages == [
        "refused a malformed request: BadHttpMessage (Error handling request from 10.0.0.1)",
        "Error handling request from 10.0.0.1",
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "secret" not in caplog.text
    assert "of our own" in caplog.text


def test_each_logger_of_a_web_server_gets_one_filter() -> None:
    calm_web_server("tests.noisy.too")
    calm_web_server()
    for name in (*STRANGERS_CAUSE, "tests.noisy.too"):
        filters = logging.getLogger(name).filters
        assert sum(isinstance(known, Seldom) for known in filters) == 1
