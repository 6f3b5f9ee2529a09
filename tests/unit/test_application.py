"""What a start ends with when Kafka goes away in it."""

import faust
import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)

from app.application import app
from app.errors import StartError


def failing(monkeypatch: pytest.MonkeyPatch, error: KafkaError) -> None:
    async def start(_app: faust.App) -> None:
        raise error

    monkeypatch.setattr(faust.App, "start", start)


@pytest.mark.parametrize("error", [NodeNotReadyError("node 1"), KafkaConnectionError("closed")])
async def test_a_kafka_that_goes_away_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: KafkaError
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(StartError, match=r"kafka://.* went away .*check PERSISTER_KAFKA_URL"):
        await app.start()


async def test_what_does_not_pass_by_itself_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, TopicAuthorizationFailedError("guard"))
    with pytest.raises(TopicAuthorizationFailedError):
        await app.start()
