import asyncio
import logging

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)

from app.settings import KafkaSettings
from openwhisk import publisher as module
from openwhisk.publisher import NotAcknowledged, Publisher, TooLarge
from tests.unit.gateway.doubles import FakeProducer

SOON = 0.05


class Producers:
    """Makes producers, each with the failures that the test gives it."""

    def __init__(self) -> None:
        self.made: list[FakeProducer] = []
        self.failures: list[list[Exception | None]] = []
        self.refused_starts = 0

    def __call__(self) -> FakeProducer:
        producer = FakeProducer()
        producer.failures = self.failures.pop(0) if self.failures else []
        if self.refused_starts:
            self.refused_starts -= 1
            producer.start = refuse  # type: ignore[method-assign]
        self.made.append(producer)
        return producer

    @property
    def sent(self) -> list[bytes]:
        return [value for producer in self.made for _, value, _ in producer.sent]


async def refuse() -> None:
    raise KafkaConnectionError("refused")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_PAUSE", 0)


@pytest.fixture
def producers() -> Producers:
    return Producers()


def publisher(
    producers: Producers, deadline: float = 30.0, bytes_in_flight: int = 1000
) -> Publisher:
    return Publisher(
        KafkaSettings(max_record_bytes=1024 * 1024),
        deadline=deadline,
        bytes_in_flight=bytes_in_flight,
        new_producer=producers,
    )


async def test_a_record_is_published_once_acknowledged(producers: Producers) -> None:
    await publisher(producers).publish("topic", b"value", b"key")
    assert producers.made[0].sent == [("topic", b"value", b"key")]


async def test_without_an_acknowledgement_in_time_nothing_is_claimed(producers: Producers) -> None:
    sender = publisher(producers, deadline=SOON)
    await sender.publish("topic", b"first")
    producers.made[0].acknowledging = False
    with pytest.raises(NotAcknowledged, match=r"topic topic within 0\.05 s"):
        await sender.publish("topic", b"second")
    # The producer still has it.
    assert sender.budget.in_flight == len(b"second")
    producers.made[0].futures[-1].set_result(None)
    await asyncio.sleep(0)
    assert sender.budget.in_flight == 0


async def test_each_of_many_has_its_own_outcome(producers: Producers) -> None:
    producers.failures = [[None, MessageSizeTooLargeError(), None]]
    outcomes = await publisher(producers).publish_all("topic", [b"a", b"b", b"c", b"x" * 2_000_000])
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        TooLarge,
        type(None),
        TooLarge,
    ]
    assert producers.sent == [b"a", b"b", b"c"]


@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber(), KafkaError("sender is dead")])
async def test_a_spent_producer_is_replaced(producers: Producers, error: KafkaError) -> None:
    producers.failures = [[None, error, error]]
    await publisher(producers).publish_all("topic", [b"a", b"b", b"c"])
    first, second = producers.made
    assert [value for _, value, _ in second.sent] == [b"b", b"c"]
    assert (first.stopped, second.stopped) == (1, 0)


async def test_a_full_queue_is_tried_again_with_the_same_producer(producers: Producers) -> None:
    producers.failures = [[KafkaTimeoutError()]]
    await publisher(producers).publish("topic", b"a")
    assert [producer.sent for producer in producers.made] == [[("topic", b"a", None)] * 2]


async def test_what_kafka_forbids_is_not_tried_again(producers: Producers) -> None:
    producers.failures = [[TopicAuthorizationFailedError("topic")]]
    with pytest.raises(NotAcknowledged, match="TopicAuthorizationFailed"):
        await publisher(producers).publish("topic", b"a")
    assert len(producers.sent) == 1


async def test_records_wait_for_the_connection(producers: Producers) -> None:
    producers.refused_starts = 3
    sender = publisher(producers)
    await sender.start()
    await sender.publish("topic", b"a")
    assert [producer.stopped for producer in producers.made] == [1, 1, 1, 0]


async def test_failing_and_recovering_are_each_told_once(
    producers: Producers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sender = publisher(producers, deadline=SOON)
    await sender.publish("topic", b"a")
    producers.made[0].acknowledging = False
    await asyncio.gather(*(sender.publish("topic", b"a") for _ in range(3)), return_exceptions=True)
    assert sender.failing_since is not None
    producers.made[0].acknowledging = True
    await sender.publish("topic", b"a")
    await sender.publish("topic", b"a")
    assert sender.failing_since is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_bytes_in_flight_are_bounded(producers: Producers) -> None:
    sender = publisher(producers, deadline=SOON, bytes_in_flight=10)
    await sender.publish("topic", b"a")
    producers.made[0].acknowledging = False
    outcomes = await sender.publish_all("topic", [b"123456", b"123456"])
    assert all(isinstance(outcome, NotAcknowledged) for outcome in outcomes)
    assert len(producers.made[0].sent) == 1 + 1
    assert sender.budget.in_flight == 6


async def test_stopping_closes_the_producer(producers: Producers) -> None:
    sender = publisher(producers)
    await sender.publish("topic", b"a")
    await sender.stop()
    assert producers.made[0].stopped == 1
