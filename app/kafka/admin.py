"""The admin client: topics, their settings, and what a consumer group has committed.

A typed wrapper of aiokafka's client, which returns bare protocol responses with error codes inside.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    IncompatibleBrokerVersion,
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

from app.kafka.clients import client_options
from app.kafka.metadata import Metadata, Right, rights_in
from app.kafka.patches.committed_offsets import checked
from app.kafka.topics import TopicSpec
from app.process.printable import shown
from app.settings import KafkaSettings

UNCLEAN = "unclean.leader.election.enable"

MIN_IN_SYNC = "min.insync.replicas"

OPTIONAL = (UNCLEAN, MIN_IN_SYNC)
"""Settings that not everything has that speaks Kafka's protocol."""

_FORBIDDEN = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)

_LONGEST = 50
"""Characters shown of what is no number."""

_NUMBERS = re.compile(r".*\.(ms|bytes|replicas)").fullmatch
_NUMBER = re.compile(r"-?[0-9]{1,19}").fullmatch


class UnreadableSettingsError(Exception):
    """A topic's settings cannot be read: it is gone, or the right DescribeConfigs is missing."""


class BrokersFencedError(KafkaError):
    """The brokers have just started and hold no partitions yet; this passes within seconds."""

    retriable = True


class Replicas(NamedTuple):
    """How many replicas a partition has, and how many of them are in sync with its leader."""

    all: int
    in_sync: int


class Admin:
    """What only an admin client can ask of Kafka.

    Every method raises aiokafka's `KafkaError` if Kafka cannot be reached or refuses (`retriable`
    tells whether the error is transient), and `OSError` if the connection breaks.

    Args:
        client: a started client; `connect` and `open_admin` make one.
    """

    def __init__(self, client: AIOKafkaAdminClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls, settings: KafkaSettings) -> Self:
        """Connect a client; the caller closes it.

        Raises:
            KafkaError: no broker can be reached.
        """
        return cls(await connect_client(settings))

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close()

    async def topics(self) -> set[str]:
        """The names of all topics that this client may see."""
        return set(await self._client.list_topics())

    async def partition_counts(self) -> dict[str, int]:
        """How many partitions each topic has, of those that this client may see."""
        # Asks for all topics, because asking for a missing one by name may create it.
        described = await self._client.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def replicas(self) -> dict[str, dict[int, Replicas]]:
        """The replicas of each partition, of all topics that this client may see."""
        return {
            topic["topic"]: {
                one["partition"]: Replicas(len(one["replicas"]), len(one["isr"]))
                for one in topic["partitions"]
            }
            for topic in await self._client.describe_topics()
        }

    async def create(self, topic: TopicSpec, replication: int) -> bool:
        """Create a topic unless it exists; leaves an existing one as it is.

        Args:
            topic: its name, partitions and settings.
            replication: replicas of each partition.

        Returns:
            Whether the topic was created.
        """
        error = (await self._create([topic], replication)).get(topic.name)
        if isinstance(error, InvalidReplicationFactorError) and "fenced" in str(error):
            raise BrokersFencedError(str(error))
        if error is not None and not isinstance(error, TopicAlreadyExistsError):
            raise error
        return error is None

    async def would_refuse(
        self, topics: Iterable[TopicSpec], replication: int
    ) -> dict[str, KafkaError]:
        """Why Kafka would refuse to create these topics, by name; creates nothing.

        An existing topic that is hidden from this client is refused with
        `TopicAuthorizationFailedError`, as is one that it may not create.
        """
        # Without their settings, because only missing rights are of interest.
        bare = [TopicSpec(topic.name, topic.partitions, {}) for topic in topics]
        return await self._create(bare, replication, validate_only=True) if bare else {}

    async def _create(
        self, topics: Iterable[TopicSpec], replication: int, *, validate_only: bool = False
    ) -> dict[str, KafkaError]:
        """Create topics; returns the errors of those that were not created."""
        new = [
            NewTopic(topic.name, topic.partitions, replication, topic_configs=dict(topic.config))
            for topic in topics
        ]
        answer = await self._client.create_topics(new, validate_only=validate_only)
        refused = {}
        for name, code, *reason in answer.topic_errors:
            error = for_code(code)
            if error is not NoError:
                refused[name] = error(f"cannot create topic {name}: {_reason(error, *reason)}")
        return refused

    async def grow(self, topic: str, partitions: int) -> None:
        """Increase a topic's number of partitions to `partitions`."""
        await self._client.create_partitions({topic: NewPartitions(partitions)})

    async def delete(self, topics: Collection[str]) -> None:
        """Delete topics."""
        if not topics:
            return
        answer = await self._client.delete_topics(list(topics))
        for name, code, *reason in answer.topic_error_codes:
            error = for_code(code)
            if error is not NoError:
                raise error(f"cannot delete topic {name}: {_reason(error, *reason)}")

    async def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records of each partition before an offset."""
        if before:
            await self._client.delete_records(
                {at: RecordsToDelete(offset) for at, offset in before.items()}
            )

    async def topic_settings(
        self, topics: Iterable[str], keys: Collection[str]
    ) -> dict[str, dict[str, str]]:
        """Settings of topics, set on the topic or inherited from the broker.

        Args:
            topics: the names of existing topics.
            keys: names of settings, such as `retention.ms`. Those of `OPTIONAL` may be missing from
                the result.

        Raises:
            UnreadableSettingsError: a topic is gone, the right DescribeConfigs is missing, or a
                broker does not have such a setting.
        """
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict.fromkeys(keys))
            for topic in topics
        ]
        found = {}
        for answer in await self._client.describe_configs(resources) if resources else ():
            for code, reason, _, topic, entries in answer.resources:
                if code:
                    error = for_code(code)
                    right = ": grant DescribeConfigs on it" if error in _FORBIDDEN else ""
                    raise UnreadableSettingsError(f"{topic}: {_reason(error, reason)}{right}")
                found[topic] = {entry[0]: entry[1] for entry in entries if entry[0] in keys}
                _check_settings(topic, found[topic], keys)
        return found

    async def rights(self, topics: Collection[str]) -> dict[str, frozenset[Right]]:
        """Which rights this client has to topics.

        Returns:
            Only what the broker tells: nothing of a topic that it does not know, and nothing at all
            if it is older than 2.8.
        """
        if not topics:
            return {}
        try:
            answer = await self._client._send_request(  # noqa: SLF001 - has no public one
                Metadata(topics, rights=True)
            )
        except (IncompatibleBrokerVersion, NotImplementedError):
            return {}
        told = {
            topic: rights_in(operations)
            for error, topic, *_, operations, _ in answer.topics
            if not error
        }
        return {topic: found for topic in topics if (found := told.get(topic)) is not None}

    async def largest_batch(self, topic: str) -> int:
        """The `max.message.bytes` of a topic.

        Raises:
            UnreadableSettingsError: the topic is gone, or the right DescribeConfigs is missing.
        """
        key = "max.message.bytes"
        return int((await self.topic_settings([topic], [key]))[topic][key])

    async def change_topic_settings(self, topic: str, settings: Mapping[str, str]) -> None:
        """Replace a topic's settings; those not named fall back to the broker's defaults."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(settings))
        for answer in await self._client.alter_configs([resource]):
            for code, reason, *_ in answer.resources:
                if code:
                    error = for_code(code)
                    raise error(f"cannot change the settings of {topic}: {_reason(error, reason)}")

    async def coordinator(self, group: str) -> int:
        """The id of the broker that coordinates a consumer group."""
        broker: int = await self._client.find_coordinator(group)
        return broker

    async def groups(self) -> list[str]:
        """The consumer groups that this client may see, in order."""
        return sorted(group[0] for group in await self._client.list_consumer_groups())

    async def committed(
        self, group: str, coordinator: int | None = None
    ) -> dict[TopicPartition, int]:
        """The offsets that a consumer group has committed, in all topics.

        Args:
            group: its id.
            coordinator: the id of the broker that coordinates it, if known; looked up otherwise.

        Does not use aiokafka's `list_consumer_group_offsets`, which ignores the error of a
        coordinator that is still loading, so that the group seems to have committed nothing.

        Raises:
            GroupLoadInProgressError, GroupCoordinatorNotAvailableError,
            NotCoordinatorForGroupError: the coordinator is not ready yet; try again.
        """
        # Looked up each time: after an error another broker may be the coordinator.
        broker = await self.coordinator(group) if coordinator is None else coordinator

        async def send(request: OffsetFetchRequest) -> Any:
            return await self._client._send_request(request, broker)  # noqa: SLF001

        try:
            answer = await checked(send, lambda: None)(OffsetFetchRequest(group, None))
        except KafkaError as error:
            if error.args:
                raise
            raise type(error)(f"cannot read what group {group} has committed") from None
        found = {}
        for topic, partitions in answer.topics:
            for number, offset, _, code in partitions:
                if code:
                    raise for_code(code)(f"cannot read what is committed of {topic}/{number}")
                if offset >= 0:
                    found[TopicPartition(topic, number)] = offset
        return found


async def connect_client(settings: KafkaSettings, **options: Any) -> AIOKafkaAdminClient:
    """Connect an aiokafka client with additional options; the caller closes it.

    Raises:
        KafkaError: no broker can be reached.
    """
    client = AIOKafkaAdminClient(**client_options(settings), **options)
    try:
        await client.start()
    except BaseException:
        await client.close()
        raise
    return client


@asynccontextmanager
async def open_admin(settings: KafkaSettings) -> AsyncIterator[Admin]:
    """Connect for as long as the block runs; raises `KafkaError` if no broker can be reached."""
    admin = await Admin.connect(settings)
    try:
        yield admin
    finally:
        await admin.close()


def _check_settings(topic: str, found: Mapping[str, str | None], keys: Iterable[str]) -> None:
    """Raise `UnreadableSettingsError` unless the settings are there, and numbers are numbers."""
    for key in keys:
        value = found.get(key)
        if value is None and key not in OPTIONAL:
            raise UnreadableSettingsError(f"{topic}: Kafka does not tell its {key}")
        if value is not None and _NUMBERS(key) and not _NUMBER(value):
            raise UnreadableSettingsError(f"{topic}: its {key} is {shown(value, longest=_LONGEST)}")


def _reason(error: type[KafkaError], *reason: str | None) -> str:
    """Kafka's message, or the name of the error code."""
    said = next(filter(None, reason), None)
    return said or error.__name__
