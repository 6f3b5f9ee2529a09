"""What an admin client says and does, on `tests.fakes.kafka_admin` as on a real broker."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import (
    InvalidReplicationFactorError,
    InvalidTopicError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from app.kafka.admin import Admin, Replicas, UnreadableSettingsError
from app.kafka.metadata import Right
from app.kafka.topics import TopicSpec

Until = Callable[[Callable[[], Awaitable[Any]]], Awaitable[None]]
"""Returns once a condition holds: brokers learn of a change a moment after it was made."""


class TestAdmin:
    async def test_a_topic_is_created_once_and_then_left_as_it_is(
        self, kafka: Admin, prefix: str, until: Until
    ) -> None:
        topic = f"{prefix}topic"
        assert await kafka.create(TopicSpec(topic, 3, {"retention.ms": "1000"}), 1)
        assert not await kafka.create(TopicSpec(topic, 5, {"retention.ms": "2000"}), 1)

        async def known() -> bool:
            return topic in await kafka.topics()

        await until(known)
        assert (await kafka.partition_counts())[topic] == 3
        assert (await kafka.replicas())[topic] == dict.fromkeys(range(3), Replicas(1, 1))
        settings = await kafka.topic_settings([topic], ["retention.ms", "cleanup.policy"])
        assert settings == {topic: {"retention.ms": "1000", "cleanup.policy": "delete"}}
        assert await kafka.largest_batch(topic) == 1048588

    async def test_a_refusal_says_which_topic(self, kafka: Admin, prefix: str) -> None:
        with pytest.raises(InvalidReplicationFactorError, match=f"create topic {prefix}topic: "):
            await kafka.create(TopicSpec(f"{prefix}topic", 1, {}), 7)
        with pytest.raises(UnknownTopicOrPartitionError, match=f"delete topic {prefix}none: "):
            await kafka.delete([f"{prefix}none"])
        with pytest.raises(UnreadableSettingsError, match=f"{prefix}none: "):
            await kafka.topic_settings([f"{prefix}none"], ["retention.ms"])

    async def test_rights_are_told_of_topics_that_exist(
        self, kafka: Admin, prefix: str, until: Until
    ) -> None:
        topic, none = f"{prefix}topic", f"{prefix}none"
        await kafka.create(TopicSpec(topic, 1, {}), 1)

        async def told() -> bool:
            return await kafka.rights([topic, none]) == {topic: frozenset(Right)}

        await until(told)
        assert none not in await kafka.topics()
        assert await kafka.rights([]) == {}

    async def test_asking_what_would_be_refused_creates_nothing(
        self, kafka: Admin, prefix: str, until: Until
    ) -> None:
        old, new, wrong = (f"{prefix}{name}" for name in ("old", "new", "not a name"))
        await kafka.create(TopicSpec(old, 1, {}), 1)

        async def known() -> bool:
            return old in await kafka.topics()

        await until(known)
        refused = await kafka.would_refuse([TopicSpec(one, 1, {}) for one in (old, new, wrong)], 1)
        assert {name: type(error) for name, error in refused.items()} == {
            old: TopicAlreadyExistsError,
            wrong: InvalidTopicError,
        }
        assert [name for name in await kafka.topics() if name.startswith(prefix)] == [old]

    async def test_settings_change_and_partitions_grow(
        self, kafka: Admin, prefix: str, until: Until
    ) -> None:
        topic = f"{prefix}topic"
        await kafka.create(TopicSpec(topic, 1, {"retention.ms": "1000"}), 1)

        async def known() -> bool:
            return topic in await kafka.topics()

        await until(known)
        await kafka.change_topic_settings(topic, {"max.message.bytes": "1000"})
        await kafka.grow(topic, 4)

        async def grown() -> bool:
            settings = await kafka.topic_settings([topic], ["max.message.bytes", "retention.ms"])
            partitions = (await kafka.partition_counts())[topic]
            # What was not named has fallen back to the broker's default.
            changed = {"max.message.bytes": "1000", "retention.ms": "604800000"}
            return partitions == 4 and settings == {topic: changed}

        await until(grown)

    async def test_nothing_to_ask_for_is_not_asked(self, kafka: Admin) -> None:
        assert await kafka.topic_settings([], ["retention.ms"]) == {}
        assert await kafka.would_refuse([], 1) == {}
        await kafka.delete([])
