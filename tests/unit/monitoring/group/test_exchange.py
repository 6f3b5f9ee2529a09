"""Telling the others and hearing them: whatever fails there, the work goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from app.kafka.allowance import Allowance
from app.kafka.producer import Outgoing
from app.kafka.reader import Bounds
from app.kafka.topics import workers_topic
from app.monitoring.group import exchange
from app.monitoring.group.exchange import Exchange
from app.monitoring.group.roster import Roster
from app.monitoring.group.snapshot import Snapshot, encode
from app.settings import KafkaSettings

TOPIC = workers_topic("persister-workers")


class Kafka:
    """A topic in memory, with what may be wrong about it."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.ever: set[str] = set()
        self.config = dict(TOPIC.config)
        self.records: list[tuple[bytes | None, bytes | None]] = []
        self.denies: Exception | None = None
        self.denies_writing: Exception | None = None
        self.connections = 0
        self._grown = asyncio.Event()

    # As an admin client.
    async def names(self) -> set[str]:
        self.ever |= self.topics
        return self.topics

    async def create(self, spec: Any, _replication: int) -> bool:
        self.topics.add(spec.name)
        return True

    async def topic_settings(self, names: list[str], _keys: Any) -> dict[str, dict[str, str]]:
        return dict.fromkeys(names, self.config)

    async def change(self, _name: str, config: dict[str, str]) -> None:
        self.config = dict(config)

    # As a producer.
    async def send(self, topic: str, records: list[Outgoing]) -> list[Outgoing]:
        assert topic in self.ever
        await until(lambda: topic in self.topics)  # as it waits for what may pass
        if error := self.denies or self.denies_writing:
            raise error
        self.add(*[(record.key, record.value) for record in records])
        return []

    async def stop(self, _deadline: float) -> None:
        pass

    # As a reader.
    async def bounds(self, topic: str, _partitions: int) -> dict[TopicPartition, Bounds]:
        return {TopicPartition(topic, 0): Bounds(0, len(self.records))}

    async def follow(
        self, _partition: TopicPartition, start: int, pause: float, _allowance: Allowance
    ) -> AsyncIterator[list[Any]]:
        while True:
            self._grown.clear()
            fresh, start = self.records[start:], len(self.records)
            yield [
                SimpleNamespace(key=key, value=value, timestamp=1_800_000_000_000, offset=offset)
                for offset, (key, value) in enumerate(fresh, start - len(fresh))
            ]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._grown.wait(), pause)

    def add(self, *records: tuple[bytes | None, bytes | None]) -> None:
        self.records += records
        self._grown.set()


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()

    @asynccontextmanager
    async def connect(*_: Any, **__: Any) -> AsyncIterator[Any]:
        made.connections += 1
        if made.denies:
            raise made.denies
        yield made

    @asynccontextmanager
    async def admin(*_: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(
            topics=made.names,
            create=made.create,
            topic_settings=made.topic_settings,
            change_topic_settings=made.change,
        )

    monkeypatch.setattr(exchange, "open_reader", connect)
    monkeypatch.setattr(exchange, "open_admin", admin)
    for name in ("TELL_SECONDS", "RETRY_SECONDS", "TOPIC_SECONDS"):
        monkeypatch.setattr(exchange, name, 0.01)
    return made


@pytest.fixture
async def start(kafka: Kafka) -> AsyncIterator[Callable[..., Awaitable[tuple[Exchange, Roster]]]]:
    running: list[Exchange] = []

    async def started(*, away: bool = False) -> tuple[Exchange, Roster]:
        roster = Roster()
        producer: Any = kafka
        service = Exchange(
            KafkaSettings(),
            TOPIC,
            lambda: Snapshot("own"),
            roster,
            looked=lambda: None,
            away=lambda: away,
            producer=producer,
        )
        running.append(service)
        await service.start()
        return service, roster

    yield started
    for service in running:
        await service.stop()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come")


async def test_it_makes_the_topic_tells_and_says_goodbye(kafka: Kafka, start: Any) -> None:
    service, _ = await start()
    await until(lambda: len(kafka.records) > 2)
    assert kafka.topics == {TOPIC.name}
    assert kafka.records[0] == (b"own", encode(Snapshot("own")))
    await service.stop()
    assert kafka.records[-1] == (b"own", None)


async def test_a_topic_that_kafka_made_by_itself_stays_small(kafka: Kafka, start: Any) -> None:
    kafka.topics.add(TOPIC.name)
    kafka.config = {"cleanup.policy": "delete"}
    await start()
    await until(lambda: bool(kafka.records))
    assert kafka.config == TOPIC.config


async def test_it_hears_the_others_and_believes_no_junk(kafka: Kafka, start: Any) -> None:
    kafka.add(
        (b"a", encode(Snapshot("a"))),
        (b"a", b"junk"),
        (None, None),
        (b"\xff", None),
        (b"b", encode(Snapshot("another"))),
        (b"c", b"x" * 100_000),
    )
    _, roster = await start()
    await until(lambda: len(roster.workers()) > 1)
    assert [one.snapshot.worker for one in roster.workers()] == ["own", "a"]
    kafka.add((b"a", None))
    await until(lambda: len(roster.workers()) == 1)


async def test_a_missing_right_is_said_and_passes(
    kafka: Kafka, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.denies = TopicAuthorizationFailedError("persister-workers")
    _, roster = await start()
    await until(lambda: kafka.connections > 3)
    assert roster.trouble.startswith("cannot hear the other workers: ")
    assert caplog.text.count("does not show all workers") == 1
    kafka.denies = None
    await until(lambda: not roster.trouble)
    assert "shows all workers of the group again" in caplog.text or kafka.records


async def test_a_missing_right_to_write_is_said_once_and_passes(
    kafka: Kafka, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.denies_writing = TopicAuthorizationFailedError("persister-workers")
    _, roster = await start()
    await until(lambda: bool(roster.trouble))
    kafka.add((b"a", encode(Snapshot("a"))))
    await until(lambda: len(roster.workers()) > 1)
    kafka.add((b"b", encode(Snapshot("b"))))
    await until(lambda: len(roster.workers()) > 2)
    assert roster.trouble.startswith("cannot tell the other workers")
    assert caplog.text.count("does not show all workers") == 1
    kafka.denies_writing = None
    await until(lambda: (b"own", encode(Snapshot("own"))) in kafka.records)
    await until(lambda: not roster.trouble)


async def test_a_topic_that_is_deleted_is_made_again(
    kafka: Kafka, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "DEAF_SECONDS", 0.05)
    await start()
    await until(lambda: len(kafka.records) > 2)
    kafka.topics.clear()
    kafka.records.clear()
    await until(lambda: len(kafka.records) > 2)
    assert kafka.topics == {TOPIC.name}


async def test_nothing_is_sent_or_said_while_kafka_is_away(
    kafka: Kafka, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    kafka.denies = KafkaConnectionError("refused")
    service, _ = await start(away=True)
    await until(lambda: kafka.connections > 3)
    await service.stop()
    assert kafka.records == []
    assert caplog.text == ""
