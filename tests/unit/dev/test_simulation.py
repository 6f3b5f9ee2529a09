import asyncio
import json
from collections.abc import Iterator

import pytest

from app.kafka.topics import TopicNames
from app.routing import Store, route
from app.settings import LogMode
from dev.traffic import Mix, Setup, Simulation, Traffic, prefill
from dev.traffic.backlog import messages
from dev.traffic.events import Again, Event
from dev.traffic.pace import Pace
from dev.traffic.setup import STORE_EVERYTHING
from models.roles import TopicRole
from tests.fakes.publisher import FakePublisher


class Time:
    """Passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_sends_as_many_events_as_asked_for_and_keeps_the_books(
    publisher: FakePublisher,
) -> None:
    traffic = Traffic(seed=2)
    progress: list[None] = []
    simulation = Simulation(
        traffic, publisher, count=800, on_progress=lambda: progress.append(None)
    )
    summary = await simulation.run()
    assert summary.events.total() == len(progress) == 800
    assert summary.messages.total() == len(publisher.records)
    assert summary.bytes.total() == sum(len(value) for _, value in publisher.records)
    assert summary.ledger.documents() == traffic.ledger(800).documents()
    assert summary.ledger.outcomes.as_json() == traffic.ledger(800).outcomes.as_json()
    assert not summary.failures


async def test_keeps_to_the_rate(publisher: FakePublisher) -> None:
    time = Time()
    simulation = Simulation(
        Traffic(), publisher, rate=50, count=101, clock=time.clock, sleep=time.sleep
    )
    assert (await simulation.run()).seconds == pytest.approx(2.0)


async def test_ends_after_the_duration(publisher: FakePublisher) -> None:
    time = Time()
    simulation = Simulation(
        Traffic(), publisher, rate=50, duration=2.0, clock=time.clock, sleep=time.sleep
    )
    summary = await simulation.run()
    assert summary.events.total() == 100


def test_needs_an_end(publisher: FakePublisher) -> None:
    with pytest.raises(ValueError, match="a count, a duration or both"):
        Simulation(Traffic(), publisher)


async def test_what_kafka_does_not_take_is_counted_and_doubtful(publisher: FakePublisher) -> None:
    publisher.down.add("completed-others")
    traffic = Traffic(seed=2, mix=Mix(junk=0, duplicates=0))
    summary = await Simulation(traffic, publisher, count=200).run()
    assert set(summary.failures) == {"completed-others is down"}
    assert len(summary.ledger) + len(summary.ledger.doubtful) == 200
    assert summary.failures.total() == len(summary.ledger.doubtful)


class SlowPublisher(FakePublisher):
    """Lets others go first, the longer the earlier it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = 200

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        self._turns -= 1
        for _ in range(max(0, self._turns)):
            await asyncio.sleep(0)
        await super().publish(topic, value, key)


class Scripted(Traffic):
    """Events given by hand."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__()
        self._events = events

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)


async def test_a_divergent_record_is_sent_after_the_first_is_acknowledged() -> None:
    traffic = Traffic(seed=4, mix=Mix(junk=0, duplicates=0, divergent=0.3))
    events = [event for event, _ in zip(traffic, range(40), strict=False)]
    assert any(isinstance(event, Again) for event in events)
    publisher = SlowPublisher()
    await Simulation(Scripted(events), publisher, count=len(events)).run()
    firsts: dict[str, bool] = {}
    for _, message in publisher.messages:
        if isinstance(message.get("response"), dict):
            record = message["response"]
            other = "other" in (record["response"].get("result") or {})
            firsts.setdefault(record["activationId"], other)
    assert not any(firsts.values())


async def test_a_pace_without_a_rate_never_waits() -> None:
    time = Time()
    pace = Pace(None, clock=time.clock, sleep=time.sleep)
    await pace.wait(1_000_000)
    assert pace.seconds == 0


def test_a_rate_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pace(0)


@pytest.mark.parametrize("size", [700, 1024, 20_000])
def test_the_messages_of_a_backlog_have_the_size_and_would_be_stored(size: int) -> None:
    made = list(messages(100, size))
    assert {len(value) for _, value in made} == {size}
    for activation_id, value in made:
        decision = route(TopicRole.OTHERS, value, 0, STORE_EVERYTHING)
        assert isinstance(decision, Store)
        assert decision.activation_id == activation_id


async def test_a_backlog_is_on_its_topic_once_and_tells_its_documents(
    publisher: FakePublisher,
) -> None:
    done: list[int] = []
    ids = await prefill(publisher, "completed0", 2500, on_progress=done.append)
    assert sum(done) == len(set(ids)) == 2500
    assert set(publisher.topics) == {"completed0"}
    written = [json.loads(value)["response"] for _, value in publisher.records]
    assert [f"guest/{record['activationId']}" for record in written] == ids


async def test_a_backlog_keeps_to_its_rate(publisher: FakePublisher) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await prefill(publisher, "completed0", 30, rate=100, clock=lambda: 0.0, sleep=sleep)
    assert slept == [pytest.approx(0.1), pytest.approx(0.2)]


async def test_a_backlog_that_kafka_refuses_is_an_error(publisher: FakePublisher) -> None:
    publisher.down.add("completed0")
    with pytest.raises(ExceptionGroup):
        await prefill(publisher, "completed0", 10)


@pytest.mark.parametrize(
    "setup, topics",
    [
        (Setup(), ("completed0", "completed1", "completed-others")),
        (Setup(log_mode=LogMode.IN_RECORD, topics=TopicNames("ow-")), ("ow-activations",)),
    ],
)
def test_a_setup_reads_only_the_topics_of_its_log_mode(
    setup: Setup, topics: tuple[str, ...]
) -> None:
    assert setup.read_topics == topics
