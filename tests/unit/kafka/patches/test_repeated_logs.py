import logging

import pytest

from app.kafka.delivery.transport import Producer
from app.kafka.patches.repeated_logs import (
    CREATOR,
    NOISY,
    PRODUCER,
    PUBLISHER,
    calm_kafka_clients,
)
from app.process.seldom import Seldom


def test_each_of_the_clients_loggers_gets_one_filter() -> None:
    calm_kafka_clients()
    calm_kafka_clients()
    for name in NOISY:
        filters = logging.getLogger(name).filters
        assert sum(isinstance(known, Seldom) for known in filters) == 1


def test_a_topic_that_may_exist_is_not_announced_and_one_that_was_created_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calm_kafka_clients()
    assert Producer.logger.name == CREATOR
    logger = logging.getLogger(CREATOR)
    with caplog.at_level(logging.INFO, CREATOR):
        logger.info("Creating topic %r", "a")
        logger.info("Topic %r created.", "a")
    assert caplog.messages == ["Topic 'a' created."]


def test_what_was_not_sent_is_not_logged_with_all_that_it_holds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calm_kafka_clients()
    logger = logging.getLogger(PUBLISHER)
    with caplog.at_level(logging.INFO, PUBLISHER):
        logger.warning("_on_published error for message topic guard error message <Future>")
        logger.warning("something else")
    assert caplog.messages == ["something else"]


def test_many_topics_that_are_gone_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Who may create and delete topics got 1,800 lines out of the worker with 550 of them."""
    calm_kafka_clients()
    assignor = logging.getLogger("faust.assignor.partition_assignor")
    with caplog.at_level(logging.WARNING, assignor.name):
        for number in range(500):
            assignor.warning("Ignoring missing topic: %r", f"completed{number}")
    assert len(caplog.messages) <= 1


def test_what_waits_for_a_broker_is_not_told_at_each_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger(PRODUCER)
    logger.filters.clear()
    calm_kafka_clients()
    calm_kafka_clients()
    for size in (10_001, 10_002, 10_003):
        logger.warning(f"producer buffer full size {size}")  # noqa: G004 - as Faust does it
    logger.warning("100% of 5")
    assert caplog.messages == ["producer buffer full size 10001", "100% of 5"]
