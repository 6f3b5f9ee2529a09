"""Faust's producer, which sends the guard's entries."""

from typing import Any

import faust
import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from app.kafka.delivery import Callbacks, Transport
from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.transport import Producer
from app.settings import KafkaSettings


class Refusing:
    """aiokafka's producer, of a topic that it may not see."""

    async def send(self, topic: str, *_: Any, **__: Any) -> None:
        raise TopicAuthorizationFailedError(topic)


@pytest.fixture
def producer() -> Producer:
    app = faust.App("test", broker="kafka://nowhere", set_as_current=False)
    callbacks = Callbacks(
        held=lambda _: False,
        finished=lambda _: None,
        committing=lambda: None,
        lost=lambda *_: None,
        end=lambda _: None,
    )
    transport = Transport(
        [URL("kafka://nowhere")],
        app,
        kafka=KafkaSettings(),
        ledger=Ledger(),
        shutdown_deadline=1.0,
        callbacks=callbacks,
    )
    return Producer(transport)


async def test_an_entry_that_is_refused_at_once_fails_as_one_that_is_refused_later(
    producer: driver.Producer,
) -> None:
    untyped: Any = producer
    untyped._producer = Refusing()
    sent = await untyped.send("guard", b"key", b"value", 0, None, None)
    with pytest.raises(TopicAuthorizationFailedError):
        await sent
