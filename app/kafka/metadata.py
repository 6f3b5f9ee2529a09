"""Asks for metadata of topics in version 10, which tells their ids and a client's rights.

Brokers speak it since Kafka 2.8; aiokafka 0.14 has the versions up to 5.
"""

from collections.abc import Collection
from enum import StrEnum
from io import BytesIO

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
NO_ID = bytes(_LENGTH)
"""What a broker gives for the id of a topic that it does not know."""


class Right(StrEnum):
    """A right to a topic, by its name in Kafka's ACLs."""

    READ = "Read"
    WRITE = "Write"
    ALTER = "Alter"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


_BITS = {
    3: Right.READ,
    4: Right.WRITE,
    7: Right.ALTER,
    8: Right.DESCRIBE,
    10: Right.DESCRIBE_CONFIGS,
}
"""By the number of the operation in Kafka's protocol (`AclOperation`)."""


def rights_in(operations: int) -> frozenset[Right] | None:
    """The rights in a topic's authorized operations (KIP-430), one bit for each.

    Returns:
        None if they are not told: the smallest number stands for that, and who learns of a topic
        has the right Describe on it.
    """
    found = frozenset(right for bit, right in _BITS.items() if operations >> bit & 1)
    return found if operations > 0 and Right.DESCRIBE in found else None


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


class Metadata(Request[_Question]):
    """A question for the metadata of topics.

    Args:
        topics: their names.
        rights: whether to ask which rights the client has to them, too.
    """

    API_KEY = 3

    def __init__(self, topics: Collection[str], *, rights: bool = False) -> None:
        self._topics = topics
        self._rights = rights

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """The question in the only version that there is of it."""
        no_tags: dict[int, bytes] = {}
        topics = [(NO_ID, topic, no_tags) for topic in self._topics]
        return request_struct_class(topics, False, False, self._rights, no_tags)
