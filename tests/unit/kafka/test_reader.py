"""Reading a part of a partition from a Kafka that sends nothing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from app.kafka import reader
from app.kafka.allowance import OF_A_RECORD, Allowance
from app.kafka.patches.noted_throttling import Throttling
from app.kafka.patches.unreadable_answers import Unreadable
from app.kafka.reader import TOGETHER, Bounds, Reader, ReadError
from tests.fakes.time import Time

PLACE = TopicPartition("completed0", 0)


class Silent:
    """A consumer that gets one record after so many silences, each as long as Kafka may take."""

    def __init__(self, time: Time, silences: int) -> None:
        self._time = time
        self._silences = silences
        self._position = 0

    def assign(self, _partitions: Any) -> None:
        """Nothing else is read."""

    def seek(self, _partition: Any, offset: int) -> None:
        self._position = offset

    async def position(self, _partition: Any) -> int:
        return self._position

    async def getmany(self, partition: Any, *, timeout_ms: int) -> dict[Any, list[Any]]:
        self._time.now += timeout_ms / 1000
        self._silences -= 1
        if self._silences >= 0:
            return {}
        self._position += 1
        return {partition: [SimpleNamespace(offset=self._position - 1)]}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(autouse=True)
def nonsense(monkeypatch: pytest.MonkeyPatch) -> Unreadable:
    nonsense = Unreadable()
    monkeypatch.setattr(reader, "unreadable", nonsense)
    return nonsense


@pytest.fixture
def throttling(time: Time, monkeypatch: pytest.MonkeyPatch) -> Throttling:
    throttling = Throttling(time.clock)
    monkeypatch.setattr(reader, "throttling", throttling)
    return throttling


async def read(time: Time, silences: int) -> list[int]:
    consumer: Any = Silent(time, silences)
    return [one.offset async for one in Reader(consumer, time.clock).records(PLACE, Bounds(0, 1))]


@pytest.mark.usefixtures("throttling")
async def test_a_kafka_that_sends_nothing_is_an_error(time: Time) -> None:
    with pytest.raises(ReadError, match="sends nothing more of completed0/0 from offset 0"):
        await read(time, 1)


async def test_one_that_throttles_is_waited_for(
    time: Time, throttling: Throttling, caplog: pytest.LogCaptureFixture
) -> None:
    throttling.note(75_000)
    assert await read(time, 2) == [0]
    assert "completed0/0: Kafka throttles this client" in caplog.text


async def test_one_that_throttles_is_not_waited_for_without_end(
    time: Time, throttling: Throttling
) -> None:
    throttling.note(3_600_000)
    began = time.now
    with pytest.raises(ReadError, match="Kafka throttles this client"):
        await read(time, 1000)
    assert time.now - began < 2 * reader.THROTTLED_SECONDS


class Troubled(Silent):
    """A consumer whose first fetches fail; afterwards it goes on where it is told."""

    def __init__(self, time: Time, error: Exception, times: int, then: int = 0) -> None:
        super().__init__(time, 0)
        self._error = error
        self._times = times
        self._then = then

    async def getmany(self, partition: Any, *, timeout_ms: int) -> dict[Any, list[Any]]:
        if self._times > 0:
            self._times -= 1
            self._position += self._then
            raise self._error
        return await super().getmany(partition, timeout_ms=timeout_ms)


@pytest.fixture
def hurried(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        time.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)


async def read_through(consumer: Any, time: Time, start: int = 0) -> list[int]:
    reading = Reader(consumer, time.clock).records(PLACE, Bounds(start, start + 1))
    return [one.offset async for one in reading]


@pytest.mark.usefixtures("throttling", "hurried")
async def test_a_batch_that_was_damaged_on_the_way_is_fetched_again(time: Time) -> None:
    damaged = CorruptRecordException("Invalid CRC")
    assert await read_through(Troubled(time, damaged, 3), time) == [0]


@pytest.mark.usefixtures("throttling", "hurried")
async def test_one_that_stays_damaged_is_an_error_that_says_where(time: Time) -> None:
    damaged, began = CorruptRecordException("Invalid CRC"), time.now
    with pytest.raises(ReadError, match="completed0/0 from offset 0 on: a wrong checksum"):
        await read_through(Troubled(time, damaged, 10_000), time)
    assert time.now - began <= 2 * reader.SILENCE_SECONDS


async def test_a_topic_that_may_not_be_read_is_named_with_the_right(time: Time) -> None:
    with pytest.raises(ReadError, match="topic completed0: grant Describe and Read"):
        await read_through(Troubled(time, TopicAuthorizationFailedError("completed0"), 1), time)


async def test_a_log_that_begins_again_is_not_read_on(time: Time) -> None:
    consumer = Troubled(time, CorruptRecordException(), 1, then=-5)
    with pytest.raises(ReadError, match="no offset 7 any more, and goes on at 2"):
        await read_through(consumer, time, start=7)


class Asked:
    """A consumer that is asked for the beginning and the end of a log."""

    def __init__(self, answer: dict[TopicPartition, int] | Exception | None) -> None:
        self._answer = answer

    async def beginning_offsets(self, _partitions: Any) -> dict[TopicPartition, int]:
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer or {}

    end_offsets = beginning_offsets

    async def position(self, _partition: Any) -> int:
        await asyncio.Event().wait()
        return 0

    def assign(self, _partitions: Any) -> None:
        """Nothing else is read."""

    def seek(self, _partition: Any, _offset: int) -> None:
        """From there."""

    async def getmany(self, _partition: Any, *, timeout_ms: int) -> dict[Any, list[Any]]:  # noqa: ARG002
        return {}


@pytest.mark.parametrize(
    "answer,why",
    [
        (None, "where topic completed0 begins and ends: was it deleted"),
        (KafkaTimeoutError("40000 ms"), "where topic completed0 begins and ends: was it deleted"),
        (TopicAuthorizationFailedError(PLACE), "topic completed0: grant Describe and Read"),
        ({}, "where all partitions of completed0 begin and end"),
    ],
)
async def test_bounds_that_are_not_told_are_an_error_that_names_the_topic(
    monkeypatch: pytest.MonkeyPatch, answer: Any, why: str
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 0.05)
    consumer: Any = Asked(answer)
    with pytest.raises(ReadError, match=why):
        await Reader(consumer).bounds("completed0", 1)


async def test_an_answer_that_was_lost_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "RETRY_SECONDS", 0)
    lost = [KafkaTimeoutError(), KafkaTimeoutError()]

    class Losing(Asked):
        async def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
            if lost:
                raise lost.pop()
            return await super().end_offsets(partitions)

    consumer: Any = Losing({PLACE: 7})
    assert await Reader(consumer).ends([PLACE]) == {PLACE: 7}


async def test_an_offset_that_is_gone_and_a_start_that_is_not_told_end_the_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 0.05)
    consumer: Any = Asked(None)
    with pytest.raises(ReadError, match="where completed0/0 begins, and offset 0 is not there"):
        [one async for one in Reader(consumer).records(PLACE, Bounds(0, 1))]


async def test_who_answers_nonsense_is_not_believed_to_throttle(
    time: Time, throttling: Throttling, nonsense: Unreadable
) -> None:
    throttling.note(75_000)
    nonsense.note("kafka-1:9092 answers what cannot be read")
    with pytest.raises(ReadError, match="kafka-1:9092 answers what cannot be read"):
        await read(time, 2)


class Flooded:
    """A consumer of a partition to which somebody writes a thousand records a second."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._began = time.now
        self.position_ = 0
        self.received = 0

    def assign(self, _partitions: Any) -> None:
        """Nothing else is read."""

    def seek(self, _partition: Any, offset: int) -> None:
        self.position_ = offset

    async def position(self, _partition: Any) -> int:
        return self.position_

    async def end_offsets(self, partitions: Any) -> dict[Any, int]:
        return dict.fromkeys(partitions, self.end)

    @property
    def end(self) -> int:
        return int((self._time.now - self._began) * 1000)

    async def getmany(self, partition: Any, *, timeout_ms: int, max_records: int) -> Any:
        if self.position_ == self.end:
            self._time.now += timeout_ms / 1000
        some = range(self.position_, min(self.position_ + max_records, self.end))
        self.position_ += len(some)
        self.received += 100 * len(some)
        return {
            partition: [
                SimpleNamespace(offset=at, key=b"a", value=b"{}", headers=()) for at in some
            ]
        }


async def test_of_a_flood_no_more_is_read_than_is_allowed_and_the_latest_always(
    time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        reader, "asyncio", SimpleNamespace(sleep=time.sleep, timeout=asyncio.timeout)
    )
    flooded: Any = Flooded(time)
    each = OF_A_RECORD + 103
    allowance = Allowance(100 * each, 1000 * each, clock=time.clock)
    until, counts, latest = time.now + 60, 0, 0
    async for records in Reader(flooded, shelf=flooded).follow(PLACE, 0, 0.1, allowance):
        counts += len(records)
        latest = records[-1].offset if records else latest
        if time.now >= until:
            break
    assert counts <= 1000 + 60 * 100 + TOGETHER
    assert counts >= 60 * 100
    assert latest > flooded.end - 10_000
    assert max(time.slept) < 5
    assert time.slept.count(0) > 3  # others get their turn
    assert "of completed0/0 were not read" in caplog.text


async def test_what_is_allowed_is_read_whole(
    time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        reader, "asyncio", SimpleNamespace(sleep=time.sleep, timeout=asyncio.timeout)
    )
    flooded: Any = Flooded(time)
    time.now += 10
    read: list[int] = []
    async for records in Reader(flooded, shelf=flooded).follow(
        PLACE, 0, 0.1, Allowance(clock=time.clock)
    ):
        read += [record.offset for record in records]
        if len(read) >= 12_000:
            break
    assert read == list(range(len(read)))
    assert caplog.text == ""
