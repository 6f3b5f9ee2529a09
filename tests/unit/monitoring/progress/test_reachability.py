"""When the log says that Kafka is away, and back."""

import pytest

from app.monitoring.progress.reachability import NEW_CLUSTER_SECONDS, Reachability
from tests.fakes.time import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kafka(clock: Clock, caplog: pytest.LogCaptureFixture) -> Reachability:
    caplog.set_level("INFO")
    return Reachability("kafka://k:9092", clock, clock)


def test_a_new_cluster_has_a_moment_before_it_is_called_away(
    kafka: Reachability, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.failed("no coordinator")
    assert kafka.away_since == 1000.0
    clock.now += NEW_CLUSTER_SECONDS / 2
    kafka.answered()
    assert not caplog.messages


def test_one_that_has_answered_is_said_to_be_away_once(
    kafka: Reachability, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.answered()
    kafka.failed("connection refused")
    clock.now += 60
    kafka.failed("connection refused")
    kafka.answered()
    assert caplog.messages == [
        "Kafka at kafka://k:9092 does not answer: connection refused; asking until it does",
        "Kafka at kafka://k:9092 answers again, after 60 s",
    ]


def test_a_connection_that_a_broker_has_closed_is_no_outage(
    kafka: Reachability, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.answered()
    kafka.failed("closes the connection")
    clock.now += 2
    kafka.answered()
    assert not caplog.messages


def test_one_that_never_answered_is_said_to_be_away_after_the_moment(
    kafka: Reachability, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.failed("connection refused")
    clock.now += NEW_CLUSTER_SECONDS
    kafka.failed("connection refused")
    assert len(caplog.messages) == 1


def test_a_clock_that_is_set_back_hides_no_outage(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    wall = Clock()
    kafka = Reachability("kafka://k:9092", wall, clock)
    kafka.answered()
    kafka.failed("connection refused")
    wall.now -= 21_600
    clock.now += 60
    kafka.failed("connection refused")
    assert len(caplog.messages) == 1
