"""What a publisher answers, `tests.fakes.publisher` as the real one on a real broker."""

from typing import Protocol

import pytest

from openwhisk.publisher import NotAcknowledged, TooLarge
from openwhisk.store import Publishes

ROOM = 1000
"""The largest record that a topic of this suite is sure to take."""

LARGE = b"x" * 5000
"""A record that it is sure to refuse."""


class Kafka(Protocol):
    """A broker, real or not."""

    publisher: Publishes

    async def create(self, topic: str) -> str:
        """Create a topic that takes `ROOM` and not `LARGE`; returns its full name."""

    async def away(self) -> Publishes:
        """A publisher whose Kafka does not answer."""

    async def values(self, topic: str) -> list[bytes]:
        """What the topic holds, in order."""


class TestPublisher:
    async def test_a_record_is_there_once_it_is_published(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        await kafka.publisher.publish(topic, b"a")
        assert await kafka.values(topic) == [b"a"]

    async def test_records_keep_their_order(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        values = [b"%d" % number for number in range(500)]
        assert await kafka.publisher.publish_all(topic, values) == [None] * 500
        await kafka.publisher.publish(topic, b"last")
        assert await kafka.values(topic) == [*values, b"last"]

    async def test_nothing_to_publish_is_nothing_published(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        assert await kafka.publisher.publish_all(topic, []) == []
        assert await kafka.values(topic) == []

    async def test_a_record_that_is_too_large_is_refused_and_the_next_is_taken(
        self, kafka: Kafka
    ) -> None:
        topic = await kafka.create("topic")
        for _ in range(2):
            with pytest.raises(TooLarge, match=topic):
                await kafka.publisher.publish(topic, LARGE)
            await kafka.publisher.publish(topic, b"a")
        assert await kafka.values(topic) == [b"a", b"a"]

    async def test_of_many_those_that_are_too_large_are_refused(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        values = [b"a", LARGE, b"b" * (ROOM // 2), LARGE, LARGE, b"c"]
        outcomes = await kafka.publisher.publish_all(topic, values)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [type(None), TooLarge, type(None), TooLarge, TooLarge, type(None)]
        assert await kafka.values(topic) == [values[0], values[2], values[5]]

    async def test_a_kafka_that_is_away_acknowledges_nothing(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        away = await kafka.away()
        with pytest.raises(NotAcknowledged, match=topic):
            await away.publish(topic, b"a")
        outcomes = await away.publish_all(topic, [b"b", b"c"])
        assert len(outcomes) == 2
        assert all(isinstance(outcome, NotAcknowledged) for outcome in outcomes)
        assert await kafka.values(topic) == []
