"""aiokafka's admin client, with a Kafka behind it; `tests/contract` proves it."""

import re
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import (
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.commit import OffsetFetchRequest

from app.kafka.metadata import NO_ID, Metadata

ALL_RIGHTS = sum(1 << operation for operation in (3, 4, 5, 6, 7, 8, 10, 11))
"""The bits that a real broker without ACLs gives for a topic."""

NOT_TOLD = -(2**31)
"""What a broker gives for rights that it was not asked for, or cannot tell."""

_DEFAULTS = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
}


class FakeAdminClient:
    """What `Admin` uses of an `AIOKafkaAdminClient`.

    Attributes:
        topics: partitions by name; a test may fill it.
        settings: by topic, what it was created with.
        all_settings: what differs from that for every topic.
        created: what was created, as it was asked for.
        answers: the error of a creation, by the topic's name.
        fenced: how often creations are refused as by brokers that have just started.
        unreadable: the error code when settings are asked for.
        failures: what the next connections fail with.
        rights: the bits of the authorized operations, by topic; all of those not named.
        old: whether the broker is older than 2.8, which tells no rights.
        committed: what consumer groups have committed, by group, topic and partition.
        brokers: as many replicas are possible.
        replicas: how many each partition of a topic has, and how many are in sync; one of one.
        attempts: how often somebody connected.
        connected: clients that are not closed.
    """

    def __init__(self) -> None:
        self.topics: dict[str, int] = {}
        self.settings: dict[str, dict[str, str]] = {}
        self.all_settings: dict[str, str] = {}
        self.created: list[Any] = []
        self.answers: dict[str, Any] = {}
        self.fenced = 0
        self.unreadable = 0
        self.failures: list[Exception] = []
        self.rights: dict[str, int] = {}
        self.old = False
        self.committed: dict[str, dict[tuple[str, int], int]] = {}
        self.brokers = 3
        self.replicas: dict[str, tuple[int, int]] = {}
        self.attempts = 0
        self.connected = 0

    async def start(self) -> None:
        self.attempts += 1
        self.connected += 1
        if self.failures:
            raise self.failures.pop(0)

    async def close(self) -> None:
        self.connected -= 1

    async def list_topics(self) -> list[str]:
        return list(self.topics)

    async def describe_topics(self) -> list[dict[str, Any]]:
        return [
            {"topic": name, "partitions": self._partitions(name, count)}
            for name, count in self.topics.items()
        ]

    def _partitions(self, topic: str, count: int) -> list[dict[str, Any]]:
        replicas, in_sync = self.replicas.get(topic, (1, 1))
        return [
            {"partition": number, "replicas": [*range(replicas)], "isr": [*range(in_sync)]}
            for number in range(count)
        ]

    async def create_topics(self, topics: list[Any], *, validate_only: bool) -> Any:
        errors: list[Any] = []
        if self.fenced:
            self.fenced -= 1
            code, said = InvalidReplicationFactorError.errno, "All brokers are currently fenced."
            return SimpleNamespace(topic_errors=[(topic.name, code, said) for topic in topics])
        for topic in topics:
            error = self.answers.get(topic.name) or self._refusal(topic)
            errors.append((topic.name, error.errno if error else 0, error and "said Kafka"))
            if not error and not validate_only:
                self.created.append(topic)
                self.topics[topic.name] = topic.num_partitions
                self.settings[topic.name] = dict(topic.topic_configs)
        return SimpleNamespace(topic_errors=errors)

    async def describe_configs(self, resources: list[Any]) -> list[Any]:
        return [SimpleNamespace(resources=[self._described(one.name) for one in resources])]

    async def alter_configs(self, resources: list[Any]) -> list[Any]:
        for resource in resources:
            self.settings[resource.name] = dict(resource.configs)
        return [SimpleNamespace(resources=[(0, None, 2, one.name) for one in resources])]

    async def create_partitions(self, topics: dict[str, Any]) -> None:
        for name, new in topics.items():
            if error := self.answers.get(name) or self._refusal_to_grow(name, new.total_count):
                raise error
            self.topics[name] = new.total_count

    async def delete_topics(self, topics: list[str]) -> Any:
        missing = UnknownTopicOrPartitionError.errno
        codes = [(name, 0 if name in self.topics else missing) for name in topics]
        for name in topics:
            self.topics.pop(name, None)
        return SimpleNamespace(topic_error_codes=codes)

    def _refusal_to_grow(self, name: str, partitions: int) -> Any:
        if name not in self.topics:
            return UnknownTopicOrPartitionError
        return InvalidPartitionsError if partitions <= self.topics[name] else None

    async def find_coordinator(self, _group: str) -> int:
        return 0

    async def list_consumer_groups(self) -> list[tuple[str, str]]:
        return [(group, "consumer") for group in self.committed]

    async def _send_request(
        self, request: OffsetFetchRequest | Metadata, _broker: int | None = None
    ) -> Any:
        if isinstance(request, Metadata):
            return self._metadata(request)
        partitions: dict[str, list[Any]] = {}
        for (topic, number), offset in self.committed.get(request._consumer_group, {}).items():
            partitions.setdefault(topic, []).append((number, offset, "", 0))
        return SimpleNamespace(topics=list(partitions.items()), error_code=0, API_VERSION=3)

    def _metadata(self, request: Metadata) -> Any:
        if self.old:
            return request.prepare({Metadata.API_KEY: (0, 9)})  # raises what aiokafka raises
        # What is on the wire, and back.
        struct = request.prepare({Metadata.API_KEY: (0, 12)})
        asked = type(struct).decode(struct.encode())
        assert asked.include_topic_authorized_operations
        topics: list[Any] = [
            (0, topic, NO_ID, False, [], self.rights.get(topic, ALL_RIGHTS), {})
            if topic in self.topics
            else (UnknownTopicOrPartitionError.errno, topic, NO_ID, False, [], ALL_RIGHTS, {})
            for _, topic, _ in asked.topics
        ]
        return SimpleNamespace(topics=topics)

    def _refusal(self, topic: Any) -> Any:
        if not re.fullmatch(r"[\w.-]{1,249}", topic.name, re.ASCII):
            return InvalidTopicError
        if topic.name in self.topics:
            return TopicAlreadyExistsError
        return InvalidReplicationFactorError if topic.replication_factor > self.brokers else None

    def _described(self, topic: str) -> tuple[int, str | None, int, str, list[tuple[str, str]]]:
        code = self.unreadable or (
            0 if topic in self.topics else UnknownTopicOrPartitionError.errno
        )
        found = _DEFAULTS | self.settings.get(topic, {}) | self.all_settings
        return code, None, 2, topic, [] if code else list(found.items())
