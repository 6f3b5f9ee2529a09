"""Partitions that may not be fetched, or are gone, beside others that are fetched."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.protocol.fetch import FetchRequest

from app.kafka.patches.refused_fetches import (
    FORBIDDEN,
    GONE,
    REJOIN_SECONDS,
    RETRY_SECONDS,
    Fetches,
)
from tests.fakes.time import Clock

FETCH = FetchRequest(1, 1, 1, 0, [], "")
OPEN, CLOSED = TopicPartition("open", 0), TopicPartition("closed", 0)


class Consumer:
    """aiokafka's consumer with its real state of a subscription, and a Kafka behind it."""

    def __init__(self) -> None:
        self._subscription = SubscriptionState()
        self._subscription.subscribe({"open", "closed"})
        self._subscription.assign_from_subscribed({OPEN, CLOSED})
        self._coordinator = SimpleNamespace(request_rejoin=self._rejoin)
        self._client = SimpleNamespace(send=self._send)
        self.codes = {OPEN: 0, CLOSED: 0}
        self.rejoined = 0

    async def fetch(self) -> list[TopicPartition]:
        """The partitions that aiokafka sees an answer of."""
        answer = await self._client.send("node", FETCH, group="default")
        return [
            TopicPartition(topic, number)
            for topic, partitions in answer.topics
            for number, *_ in partitions
        ]

    def paused(self) -> set[TopicPartition]:
        found: set[TopicPartition] = self._subscription.paused_partitions()
        return found

    async def _send(self, _node: object, _request: object, **_: object) -> Any:
        return SimpleNamespace(
            topics=[
                (tp.topic, [(tp.partition, code, 7, b"records")])
                for tp, code in self.codes.items()
                if tp not in self.paused()
            ]
        )

    def _rejoin(self) -> None:
        self.rejoined += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def fetches(consumer: Consumer, clock: Clock, said: list[str]) -> Fetches:
    watching = Fetches(said.append, clock=clock)
    watching.watch(consumer)
    return watching


async def test_what_may_not_be_read_is_left_out_and_the_others_are_read(
    fetches: Fetches, consumer: Consumer, said: list[str]
) -> None:
    consumer.codes[CLOSED] = FORBIDDEN
    assert await consumer.fetch() == [OPEN]
    assert consumer.paused() == {CLOSED}
    assert fetches.unreadable.keys() == {"closed"}
    assert "closed may be seen, but not read" in said[0]


async def test_it_is_tried_again_and_read_once_that_is_granted(
    fetches: Fetches, consumer: Consumer, clock: Clock, said: list[str]
) -> None:
    consumer.codes[CLOSED] = FORBIDDEN
    for _ in range(3):
        await consumer.fetch()
        fetches.try_again()
        assert consumer.paused() == {CLOSED}
        clock.now += RETRY_SECONDS
        fetches.try_again()
        assert consumer.paused() == set()
    assert len(said) == 1
    consumer.codes[CLOSED] = 0
    assert await consumer.fetch() == [OPEN, CLOSED]
    assert not fetches.unreadable
    assert said[1:] == ["closed may be read now, and is"]


async def test_what_another_member_reads_now_is_not_left_out_here_any_more(
    fetches: Fetches, consumer: Consumer, said: list[str]
) -> None:
    consumer.codes[CLOSED] = FORBIDDEN
    await consumer.fetch()
    consumer._subscription.assign_from_subscribed({OPEN})
    fetches.try_again()
    assert not fetches.unreadable
    consumer._subscription.assign_from_subscribed({OPEN, CLOSED})
    await consumer.fetch()
    assert fetches.unreadable.keys() == {"closed"}
    assert len(said) == 2


async def test_a_partition_that_is_gone_makes_the_group_rejoin_now_and_then(
    fetches: Fetches, consumer: Consumer, clock: Clock
) -> None:
    consumer.codes[CLOSED] = GONE
    for _ in range(3):
        assert await consumer.fetch() == [OPEN, CLOSED]
    assert consumer.rejoined == 1
    clock.now += REJOIN_SECONDS
    await consumer.fetch()
    assert consumer.rejoined == 2
    assert not fetches.unreadable
