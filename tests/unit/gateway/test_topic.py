"""When the gateway creates its topic."""

import logging

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from app.kafka.topics import TopicSpec
from openwhisk.gateway.topic import keep_topic

TOPIC = TopicSpec("t", 1, {})


class OverError(Exception):
    """The test has seen enough."""


class Kafka:
    """What is asked of Kafka: one outcome for each round, in which something may be asked or not.

    Args:
        rounds: for each, whether records wait, and what an attempt to create the topic comes to.
    """

    def __init__(self, *rounds: tuple[str, bool | KafkaError | OSError]) -> None:
        self._rounds = list(rounds)
        self.attempts = 0

    @property
    def trouble(self) -> str:
        return self._rounds[0][0]

    async def ensure_topic(self, topic: TopicSpec) -> bool:
        assert topic is TOPIC
        self.attempts += 1
        outcome = self._rounds[0][1]
        if isinstance(outcome, bool):
            return outcome
        raise outcome

    async def sleep(self, _: float) -> None:
        del self._rounds[0]
        if not self._rounds:
            raise OverError


async def said(kafka: Kafka, caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    caplog.set_level(logging.INFO)
    with pytest.raises(OverError):
        await keep_topic(kafka, TOPIC, kafka.sleep)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


async def test_at_the_start_and_never_while_records_are_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kafka = Kafka(("", True), ("", True), ("", True))
    assert await said(kafka, caplog) == [("INFO", "created topic t")]
    assert kafka.attempts == 1


async def test_one_that_is_there_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert await said(Kafka(("", False), ("waits", False)), caplog) == []


async def test_again_when_records_wait_and_it_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    kafka = Kafka(("", False), ("", True), ("waits", True), ("waits", False), ("", True))
    assert await said(kafka, caplog) == [("INFO", "created topic t, which was gone")]
    assert kafka.attempts == 3


async def test_a_refusal_is_said_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    refused = TopicAuthorizationFailedError("no")
    kafka = Kafka(("", refused), ("", refused), ("", False), ("waits", refused), ("waits", refused))
    line = f"cannot create topic t yet: {refused!r}; trying again"
    assert await said(kafka, caplog) == [("ERROR", line)] * 2
    assert kafka.attempts == 5


@pytest.mark.parametrize("away", [KafkaConnectionError("away"), TimeoutError()])
async def test_that_kafka_is_away_is_said_at_the_start_only(
    away: KafkaError | OSError, caplog: pytest.LogCaptureFixture
) -> None:
    line = f"cannot create topic t yet: {away!r}; trying again"
    kafka = Kafka(("", away), ("", away), ("", False), ("waits", away), ("waits", False))
    assert await said(kafka, caplog) == [("ERROR", line)]
