"""Asks a broker for the ids of topics.

A topic that is deleted and created again has the same name and another id (KIP-516). aiokafka 0.14
asks for metadata in versions without ids. See `Discovery` for what depends on them.
"""

from collections.abc import Collection
from io import BytesIO
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_LENGTH = 16
_NONE = bytes(_LENGTH)


class _Id(AbstractType[bytes]):
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        value = data.read(_LENGTH)
        if len(value) != _LENGTH:
            raise ValueError("a topic's id is cut short")
        return value


class _Answer(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Id), ("topic", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Ids(Request[_Question]):
    """Metadata with the ids of topics; supported by brokers since 2.8."""

    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_Question]) -> _Question:
        no_tags: dict[int, bytes] = {}
        topics = [(_NONE, topic, no_tags) for topic in self._topics]
        return request_struct_class(topics, False, False, False, no_tags)


async def ids(client: Any, topics: Collection[str]) -> dict[str, bytes]:
    """The ids of those topics that exist and have one.

    Args:
        client: aiokafka's client.
        topics: their names.

    Returns:
        Nothing where the broker is older than 2.8, or none is known.

    Raises:
        KafkaError: the broker did not answer.
    """
    node = client.get_random_node()
    if node is None or not topics:
        return {}
    try:
        answer = await client.send(node, _Ids(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    return {
        topic: topic_id
        for error, topic, topic_id, *_ in answer.topics
        if not error and topic in topics and topic_id != _NONE
    }
