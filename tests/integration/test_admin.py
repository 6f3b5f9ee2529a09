"""What the admin client says and does, on a real broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaConnectionError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

from app.kafka.admin import Admin, UnreadableSettingsError, open_admin
from app.kafka.topics import TopicSpec
from app.settings import KafkaSettings
from dev.admin import Admin as Topics
from tests.integration.support.waiting import until


@pytest.fixture
async def kafka(kafka_url: str, admin: Topics) -> AsyncIterator[Admin]:
    del admin  # deletes the topics of this test
    async with open_admin(KafkaSettings(url=kafka_url)) as connected:
        yield connected


async def test_a_topic_is_created_once_and_then_left_as_it_is(kafka: Admin, prefix: str) -> None:
    topic = f"{prefix}topic"
    assert await kafka.create(TopicSpec(topic, 3, {"retention.ms": "1000"}), 1)
    assert not await kafka.create(TopicSpec(topic, 5, {"retention.ms": "2000"}), 1)

    async def known() -> bool:
        return topic in await kafka.topics()

    await until(known, "brokers know the topic")
    assert (await kafka.partition_counts())[topic] == 3
    settings = await kafka.topic_settings([topic], ["retention.ms", "cleanup.policy"])
    assert settings == {topic: {"retention.ms": "1000", "cleanup.policy": "delete"}}


async def test_a_refusal_says_which_topic_and_why(kafka: Admin, prefix: str) -> None:
    with pytest.raises(InvalidReplicationFactorError, match=f"{prefix}topic.*replication"):
        await kafka.create(TopicSpec(f"{prefix}topic", 1, {}), 7)
    with pytest.raises(UnknownTopicOrPartitionError, match=f"cannot delete topic {prefix}none"):
        await kafka.delete([f"{prefix}none"])
    with pytest.raises(UnreadableSettingsError, match=f"{prefix}none"):
        await kafka.topic_settings([f"{prefix}none"], ["retention.ms"])


async def test_asking_what_would_be_refused_creates_nothing(
    kafka: Admin, admin: Topics, prefix: str
) -> None:
    await admin.create_topic(f"{prefix}old")
    topics = [TopicSpec(f"{prefix}{name}", 1, {}) for name in ("new", "old", "not a name")]
    refused = await kafka.would_refuse(topics, 1)
    assert {name.removeprefix(prefix): type(error) for name, error in refused.items()} == {
        "old": TopicAlreadyExistsError,
        "not a name": InvalidTopicError,
    }
    assert [name for name in await kafka.topics() if name.startswith(prefix)] == [f"{prefix}old"]


async def test_settings_change_and_partitions_grow(
    kafka: Admin, admin: Topics, prefix: str
) -> None:
    topic = f"{prefix}topic"
    await admin.create_topic(topic)
    await kafka.change_topic_settings(topic, {"max.message.bytes": "1000"})
    await kafka.grow(topic, 4)
    assert await kafka.topic_settings([topic], ["max.message.bytes"]) == {
        topic: {"max.message.bytes": "1000"}
    }

    async def grown() -> bool:
        return (await kafka.partition_counts())[topic] == 4

    await until(grown, "brokers know the new partitions")


async def test_a_group_that_has_committed_nothing_has_no_offsets(kafka: Admin, prefix: str) -> None:
    # A new broker has no coordinator yet for the first who ask.
    async with asyncio.timeout(20):
        while True:
            try:
                assert await kafka.committed(f"{prefix}group") == {}
            except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_broker_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KafkaConnectionError):
        await Admin.connect(KafkaSettings(url="kafka://127.0.0.1:1"))
