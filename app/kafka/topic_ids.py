"""Asks brokers for the ids of topics.

A topic that is deleted and created again has the same name and another id (KIP-516), which no topic
ever has again. aiokafka 0.14 asks for metadata in versions without ids. See `Consumer` and
`Discovery` for what depends on them.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from io import BytesIO
from typing import Any

from aiokafka.errors import KafkaError
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
from aiokafka.structs import TopicPartition
from faust.types import TP

ANSWER_SECONDS = 1.5
"""Seconds that a broker gets to answer."""

MOST_OTHERS = 4
"""How many other brokers are asked at most for what one has told."""

_NO_LEADER = (None, -1)
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


async def ids(
    client: Any, partitions: Collection[TP], known: Mapping[TP, bytes]
) -> dict[TP, bytes]:
    """The ids of the topics that partitions belong to now.

    A partition's leader is asked, because what it has is what is read from it. An id that differs
    from the known one counts only if another broker tells it, too, or the same one once more if
    there is no other: a broker may be behind the others, or lie.

    Args:
        client: aiokafka's client.
        partitions: those to ask about.
        known: the ids that they had before, as far as known.

    Returns:
        Only what brokers tell: nothing of a topic that does not exist, of one whose leader does not
        answer in time, or where brokers are older than 2.8.
    """
    asked: defaultdict[Any, set[TP]] = defaultdict(set)
    sure = set()
    for tp in partitions:
        leader = client.cluster.leader_for_partition(TopicPartition(*tp))
        if leader not in _NO_LEADER:
            asked[leader].add(tp)
            sure.add(tp)
        elif (node := client.get_random_node()) is not None:
            asked[node].add(tp)
    answers = await asyncio.gather(
        *(_told(client, node, {tp.topic for tp in tps}) for node, tps in asked.items())
    )
    found: dict[TP, bytes] = {}
    for (node, tps), told in zip(asked.items(), answers, strict=True):
        for tp in (tp for tp in tps if tp.topic in told):
            topic_id = told[tp.topic]
            expected = known.get(tp, topic_id if tp in sure else None)
            if topic_id == expected or await _confirmed(client, node, tp.topic, topic_id):
                found[tp] = topic_id
    return found


async def _confirmed(client: Any, node: Any, topic: str, topic_id: bytes) -> bool:
    others = [broker.nodeId for broker in client.cluster.brokers() if broker.nodeId != node]
    random.shuffle(others)
    for other in others[:MOST_OTHERS] or [node]:
        if (await _told(client, other, {topic})).get(topic) == topic_id:
            return True
    return False


async def _told(client: Any, node: Any, topics: Collection[str]) -> dict[str, bytes]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.send(node, _Ids(topics))
    except (KafkaError, NotImplementedError, TimeoutError):
        return {}
    return {
        topic: topic_id
        for error, topic, topic_id, *_ in answer.topics
        if not error and topic in topics and topic_id != _NONE
    }
