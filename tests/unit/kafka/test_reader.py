"""Reading a part of a partition from a Kafka that sends nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.kafka import reader
from app.kafka.patches.noted_throttling import Throttling
from app.kafka.reader import Bounds, Reader, ReadError
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


@pytest.fixture
def throttling(time: Time, monkeypatch: pytest.MonkeyPatch) -> Throttling:
    throttling = Throttling(time.clock)
    monkeypatch.setattr(reader, "throttling", throttling)
    return throttling


async def read(time: Time, silences: int) -> list[int]:
    consumer: Any = Silent(time, silences)
    return [one.offset async for one in Reader(consumer).records(PLACE, Bounds(0, 1))]


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
