"""Faust's producer, which sends the guard's entries."""

import asyncio
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from app.kafka.delivery import Callbacks, Transport
from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.transport import Producer
from app.process.errors import StartError
from app.settings import KafkaSettings


class Refusing:
    """aiokafka's producer, of a topic that it may not see."""

    async def send(self, topic: str, *_: Any, **__: Any) -> None:
        raise TopicAuthorizationFailedError(topic)


@pytest.fixture
async def producer() -> Producer:
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


class Changelog:
    """The topic of the guard's entries, and aiokafka's producer that has them."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.steps: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    def entry(self, number: int) -> Any:
        return SimpleNamespace(message=SimpleNamespace(channel=self, number=number))

    async def publish_message(self, entry: Any, *, wait: bool) -> None:
        assert not wait
        await self.answers.wait()
        self.taken.append(entry.message.number)

    async def flush(self) -> None:
        self.steps.append("flushed")

    async def stop(self) -> None:
        self.steps.append("stopped")


async def test_a_worker_that_ends_with_an_error_sends_its_entries_and_stops_as_it_should(
    producer: driver.Producer,
) -> None:
    untyped: Any = producer
    changelog = untyped._producer = Changelog()
    await producer.buffer.start()
    producer.buffer.put(changelog.entry(0))
    untyped._crash(StartError("the internal topic has more partitions"))
    untyped.buffer._crash(StartError("the same"))
    for number in range(1, 5):
        producer.buffer.put(changelog.entry(number))
    await producer.flush()
    assert changelog.taken == [0, 1, 2, 3, 4]
    await producer.stop()
    producer.buffer.put(changelog.entry(5))
    await producer.buffer.stop()
    assert changelog.steps == ["flushed", "stopped"]


async def test_a_commit_that_gives_up_waiting_for_kafka_loses_no_entry(
    producer: driver.Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    untyped: Any = producer
    changelog = untyped._producer = Changelog()
    changelog.answers.clear()
    await producer.buffer.start()
    for number in range(5):
        producer.buffer.put(changelog.entry(number))
    with monkeypatch.context() as patched:
        patched.setattr("app.kafka.delivery.transport.FLUSH_DEADLINE", 0.01)
        for _ in range(3):
            await producer.flush()
    assert changelog.steps == []
    changelog.answers.set()
    await producer.flush()
    assert changelog.taken == [0, 1, 2, 3, 4]
    await producer.stop()
