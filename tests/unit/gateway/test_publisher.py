import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from itertools import chain

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber, TopicAuthorizationFailedError

from app.kafka.producer import BatchProducer
from app.settings import KafkaSettings
from openwhisk.publisher import NotAcknowledged, Outcomes, Publisher, TooLarge
from tests.fakes.kafka import FakeBroker

SOON = 0.05

MakePublisher = Callable[..., Publisher]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.producer.RETRY_SECONDS", 0)


@pytest.fixture
def broker() -> FakeBroker:
    made = FakeBroker()
    made.create("topic")
    return made


@pytest.fixture
async def publisher(broker: FakeBroker) -> AsyncIterator[MakePublisher]:
    made: list[Publisher] = []

    def make(deadline: float = 30.0, bytes_in_flight: int = 10_000_000) -> Publisher:
        kafka = KafkaSettings(max_record_bytes=1024 * 1024)
        made.append(
            Publisher(
                kafka,
                deadline=deadline,
                bytes_in_flight=bytes_in_flight,
                new_producer=lambda: BatchProducer(kafka, new_client=broker.client),
            )
        )
        return made[-1]

    yield make
    for one in made:
        await one.stop(0)


def sent(broker: FakeBroker) -> list[bytes]:
    return [record.value for _, record in broker.handed]


async def test_a_record_is_published_once_acknowledged(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    await publisher().publish("topic", b"value", b"key")
    (record,) = broker.records["topic"][0]
    assert (record.key, record.value) == (b"key", b"value")


async def test_without_an_acknowledgement_in_time_nothing_is_claimed(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender = publisher(deadline=SOON)
    await sender.publish("topic", b"first")
    broker.answering = False
    with pytest.raises(NotAcknowledged, match=r"topic topic within 0\.05 s"):
        await sender.publish("topic", b"second")
    # The producer still has it.
    assert sender.budget.in_flight == len(b"second")
    broker.answering = True
    await sender.publish("topic", b"third")
    assert sender.budget.in_flight == 0
    assert broker.values("topic")[0] == [b"first", b"second", b"third"]


async def test_what_the_producer_does_not_have_at_the_deadline_is_taken_back(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender = publisher(deadline=SOON)
    broker.answering = False
    outcomes = await asyncio.gather(
        *(sender.publish("topic", b"%d" % number) for number in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [NotAcknowledged] * 3
    with pytest.raises(NotAcknowledged):
        await sender.publish("topic", b"late")
    assert sender.budget.in_flight == len(sent(broker)) < 4
    broker.answering = True
    await sender.publish("topic", b"again")
    assert b"late" not in broker.values("topic")[0]


async def test_what_comes_while_others_are_sent_goes_together(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender = publisher()
    broker.answering = False
    first = asyncio.create_task(sender.publish("topic", b"first"))
    await broker.arrived.wait()
    others = [asyncio.create_task(sender.publish("topic", b"x")) for _ in range(100)]
    await asyncio.sleep(0)
    broker.answering = True
    await asyncio.gather(first, *others)
    assert broker.batches["topic"][0] == [1, 100]


async def test_each_of_many_has_its_own_outcome(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    broker.create("topic", limit=1000)
    outcomes = await publisher().publish_all("topic", [b"a", b"b" * 2000, b"c", b"x" * 2_000_000])
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        TooLarge,
        type(None),
        TooLarge,
    ]
    assert broker.values("topic")[0] == [b"a", b"c"]


async def test_others_get_turns_while_many_are_published(
    publisher: MakePublisher, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.process.turn.SECONDS", -1.0)  # over at once
    publishing = asyncio.create_task(publisher().publish_all("topic", [b"x"] * 100))
    turns = 0
    while not publishing.done():
        await asyncio.sleep(0)
        turns += 1
    assert publishing.result() == [None] * 100
    assert turns >= 100
    assert len(broker.values("topic")[0]) == 100


async def test_what_is_taken_back_leaves_what_came_before_and_after_it(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender = publisher()
    broker.answering = False
    others = [asyncio.create_task(sender.publish_all("topic", [b"first"]))]
    await broker.arrived.wait()
    others += [asyncio.create_task(sender.publish_all("topic", [b"before"] * 3))]
    leaving = asyncio.create_task(sender.publish_all("topic", [b"gone"] * 3))
    others += [asyncio.create_task(sender.publish_all("topic", [b"after"] * 3))]
    await asyncio.sleep(0)
    leaving.cancel()
    broker.answering = True
    assert await asyncio.gather(*others) == [[None], [None] * 3, [None] * 3]
    assert broker.values("topic")[0] == [b"first", *[b"before"] * 3, *[b"after"] * 3]
    assert sender.budget.in_flight == 0


async def test_it_tells_what_the_producer_has_of_what_is_given_up(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender = publisher()
    broker.answering = False
    sent, waiting = Outcomes(2), Outcomes(3)
    tasks = [asyncio.create_task(sender.publish_all("topic", [b"a", b"b"], outcomes=sent))]
    await broker.arrived.wait()
    tasks += [asyncio.create_task(sender.publish_all("topic", [b"c"] * 3, outcomes=waiting))]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert sent.unknown == [0, 1]
    assert not sent.complete.done()
    assert waiting.unknown == waiting.arrived == []
    assert waiting.complete.done()
    broker.answering = True
    await sent.complete
    assert broker.values("topic")[0] == [b"a", b"b"]


async def test_what_is_not_foreseen_ends_with_an_outcome_too(
    publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise LookupError("unforeseen")

    publishing, outcomes = publisher(), Outcomes(2)
    with monkeypatch.context() as broken:
        broken.setattr(BatchProducer, "send", fails)
        told = await publishing.publish_all("topic", [b"a", b"b"], outcomes=outcomes)
    assert [type(one) for one in told] == [NotAcknowledged] * 2
    assert outcomes.complete.done()
    assert "LookupError: unforeseen" in caplog.text
    await publishing.publish("topic", b"c")


async def test_what_is_sent_when_it_stops_has_an_outcome(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    broker.answering = False
    publishing, outcomes = publisher(), Outcomes(1)
    sending = asyncio.ensure_future(publishing.publish_all("topic", [b"value"], outcomes=outcomes))
    await broker.arrived.wait()
    await publishing.stop(0)
    (told,) = await asyncio.wait_for(sending, 10)
    assert isinstance(told, NotAcknowledged)


async def test_what_one_partition_acknowledges_is_told_though_the_other_refuses(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    broker.create("topic", partitions=2)
    broker.failures = [TopicAuthorizationFailedError("topic")]
    publishing, outcomes = publisher(), Outcomes(8)
    keys = [b"%d" % number for number in range(8)]
    told = await publishing.publish_all("topic", keys, keys=keys, outcomes=outcomes)
    acknowledged = [value for value, error in zip(keys, told, strict=True) if error is None]
    assert sorted(acknowledged) == sorted(chain(*broker.values("topic").values()))
    assert 0 < len(acknowledged) < len(keys)
    # Who knows whether a record has arrived that was sent and failed.
    assert sorted(outcomes.arrived) == list(range(8))
    assert publishing.budget.in_flight == 0


async def test_a_spent_client_is_replaced(publisher: MakePublisher, broker: FakeBroker) -> None:
    broker.failures = [OutOfOrderSequenceNumber()]
    assert await publisher().publish_all("topic", [b"a", b"b", b"c"]) == [None] * 3
    assert len(broker.clients) == 2
    assert broker.values("topic")[0] == [b"a", b"b", b"c"]


async def test_what_kafka_forbids_is_not_tried_again(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    broker.failures = [TopicAuthorizationFailedError("topic")]
    sender = publisher()
    with pytest.raises(NotAcknowledged, match="TopicAuthorizationFailed"):
        await sender.publish("topic", b"a")
    assert len(sent(broker)) == 1
    assert sender.budget.in_flight == 0


async def test_records_wait_for_the_connection(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    broker.refused_starts = 3
    sender = publisher()
    await sender.start()
    await sender.publish("topic", b"a")
    assert [client.stopped for client in broker.clients] == [True, True, True, False]


async def test_failing_and_recovering_are_each_told_once(
    publisher: MakePublisher, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sender = publisher(deadline=SOON)
    await sender.publish("topic", b"a")
    broker.answering = False
    await asyncio.gather(*(sender.publish("topic", b"a") for _ in range(3)), return_exceptions=True)
    assert sender.failing_since is not None
    broker.answering = True
    await sender.publish("topic", b"a")
    await sender.publish("topic", b"a")
    assert sender.failing_since is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_bytes_in_flight_are_bounded(publisher: MakePublisher, broker: FakeBroker) -> None:
    sender = publisher(deadline=SOON, bytes_in_flight=10)
    await sender.publish("topic", b"a")
    broker.answering = False
    outcomes = await sender.publish_all("topic", [b"123456", b"123456"])
    assert all(isinstance(outcome, NotAcknowledged) for outcome in outcomes)
    assert sent(broker) == [b"a", b"123456"]
    assert sender.budget.in_flight == 6


async def test_kafka_is_reachable_while_it_answers(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender = publisher()
    assert await sender.reachable("topic")
    broker.answering = False
    assert not await sender.reachable("topic")
    broker.answering = True
    assert await sender.reachable("topic")
    assert not await sender.reachable("another")


async def test_stopping_closes_the_client(publisher: MakePublisher, broker: FakeBroker) -> None:
    sender = publisher()
    await sender.publish("topic", b"a")
    await sender.stop()
    assert broker.clients[0].stopped


async def handed(broker: FakeBroker, values: list[bytes]) -> None:
    """Return when Kafka was handed these."""
    while sent(broker) != values:
        broker.arrived.clear()
        await broker.arrived.wait()


async def test_no_other_record_waits_behind_large_ones(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender, large = publisher(), b"x" * 600_000
    broker.answering = False
    many = [b"%d" % number for number in range(70_000)]
    requests = [[large], many, [b"small"], [large, b"beside a large one"], [b"another"]]
    publishing = [asyncio.create_task(sender.publish_all("topic", values)) for values in requests]
    await handed(broker, [large, b"small", b"another"])
    broker.answering = True
    await asyncio.gather(*publishing)
    assert sender.budget.in_flight == 0


async def test_large_records_are_taken_back_too(
    publisher: MakePublisher, broker: FakeBroker
) -> None:
    sender, large = publisher(), b"x" * 600_000
    broker.answering = False
    publishing = [asyncio.create_task(sender.publish("topic", large)) for _ in range(2)]
    await handed(broker, [large])
    publishing[1].cancel()
    await asyncio.wait(publishing[1:])
    assert sender.budget.in_flight == len(large)
    broker.answering = True
    await publishing[0]
    assert sent(broker) == [large]
