import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from app.kafka import access
from app.kafka.access import explain
from app.kafka.patches.refused_logins import LONGEST_SECONDS, REFUSED, Logins, Told
from app.settings import KafkaSettings


class Broker:
    """What answers, and how often it was asked."""

    def __init__(self) -> None:
        self.right = "battery-staple"
        self.refusal: KafkaError = SaslAuthenticationFailed("invalid credentials")
        self.asked: list[float] = []
        self.now = 100.0
        self.logins = Logins(clock=lambda: self.now)
        self._connect = self.logins.pausing(self._answer)

    async def _answer(self, connection: Any) -> str:
        self.asked.append(self.now)
        await asyncio.sleep(0)
        if connection._sasl_plain_password not in (self.right, None):
            raise self.refusal
        return "connected"

    async def connect(self, word: str | None = "old", host: str = "a") -> str | None:
        """As a client does; None where it is refused, by whomever."""
        connection = SimpleNamespace(
            host=host,
            port=9092,
            _sasl_plain_username="worker",
            _sasl_plain_password=word,
            _sasl_mechanism="PLAIN",
        )
        try:
            return str(await self._connect(connection))
        except REFUSED:
            return None


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def test_a_refused_login_is_tried_ever_more_seldom_and_said_once(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2400):
        assert await broker.connect() is None
        broker.now += 0.125
    pauses = [later - one for one, later in zip(broker.asked, broker.asked[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.5, abs=0.13)
    assert pauses[-1] == pytest.approx(LONGEST_SECONDS, abs=0.13)
    assert len(pauses) < 16
    ((line),) = caplog.messages
    assert "Kafka at a:9092 lets nobody in: it knows no user 'worker'" in line
    assert "PERSISTER_KAFKA_PASSWORD" in line


@pytest.mark.parametrize(
    "refusal,named",
    [
        (UnsupportedSaslMechanismError("[]"), "PERSISTER_KAFKA_SASL_MECHANISM (PLAIN)"),
        (IllegalSaslStateError(), "PERSISTER_KAFKA_SECURITY_PROTOCOL"),
    ],
)
async def test_so_is_a_login_that_is_refused_for_another_reason(
    broker: Broker, refusal: KafkaError, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    broker.refusal = refusal
    for _ in range(4):
        assert await broker.connect() is None
    assert len(broker.asked) == 1
    ((line,)) = caplog.messages
    assert named in line


async def test_another_password_or_broker_is_tried_at_once(broker: Broker) -> None:
    assert await broker.connect() is None
    assert await broker.connect("other") is None
    assert await broker.connect(host="b") is None
    assert await broker.connect(broker.right) == "connected"
    assert len(broker.asked) == 4


async def test_who_is_let_in_again_begins_anew(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await broker.connect()
    assert broker.logins.refused is not None
    broker.right = "old"
    assert await broker.connect() is None
    broker.now += 1
    assert await broker.connect() == await broker.connect() == "connected"
    assert broker.logins.refused is None
    assert caplog.messages[1:] == ["Kafka at a:9092 takes the login again."]


async def test_of_several_connections_one_asks_again(broker: Broker) -> None:
    async with asyncio.TaskGroup() as clients:
        for _ in range(5):
            clients.create_task(broker.connect())
    assert len(broker.asked) == 5
    # Refused together, they have counted once.
    broker.now += 0.5
    async with asyncio.TaskGroup() as clients:
        for _ in range(5):
            clients.create_task(broker.connect())
    assert len(broker.asked) == 6


async def test_a_connection_without_a_login_is_left_alone(broker: Broker) -> None:
    assert [await broker.connect(None), await broker.connect(None)] == ["connected"] * 2


def test_aiokafkas_line_of_a_refused_login_is_dropped_and_others_stay() -> None:
    def passes(*args: object) -> bool:
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 0, "%s %s", args, None)
        return Told().filter(record)

    assert not passes(1, SaslAuthenticationFailed("invalid credentials"))
    assert passes(1, OSError("closed"))


async def test_who_cannot_connect_learns_that_the_login_is_refused(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "logins", broker.logins)
    error, settings = KafkaConnectionError("Unable to bootstrap"), KafkaSettings()
    assert "cannot be reached" in explain(error, settings)
    await broker.connect()
    assert "PERSISTER_KAFKA_PASSWORD" in explain(error, settings)
