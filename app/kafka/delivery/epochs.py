"""Notices that Kafka lost the end of a log which was read, and has written other records there.

Whoever becomes a partition's leader begins an epoch, and each batch carries its leader's. When a
leader is elected that does not have all records (`unclean.leader.election.enable`), or the disk of
a single broker is restored from a copy, the log ends before what a group has committed, and goes on
from there in a new epoch. While it is still shorter than what is committed, the offsets show it.
Once it is longer they do not, and what was written between would never be read.

So the epoch up to which was read is committed with an offset (see `notes`), and when a partition is
assigned its leader is asked where that epoch ends (OffsetForLeaderEpoch, KIP-320): before the
committed offset means that what follows is new. The same is asked when a batch of a later epoch
comes while the partition stays assigned (see `app.kafka.patches.new_leaders`). Kafka's own client
for Java keeps the epoch in a field of the commit that aiokafka 0.14 does not have, and this is not
in it at all (see aio-libs/aiokafka, where nobody has asked for it).
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String
from aiokafka.structs import TopicPartition
from faust.types import TP

ANSWER_SECONDS = 3.0
"""Seconds that a leader gets to answer, while positions wait for it."""

_UNKNOWN = -1
_NO_LEADER = (None, -1)


class _Answer(Response):
    API_KEY = 23
    API_VERSION = 2
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader_epoch", Int32),
                        ("end_offset", Int64),
                    ),
                ),
            ),
        ),
    )


class _Question(RequestStruct):
    API_KEY = 23
    API_VERSION = 2
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("current_leader_epoch", Int32),
                        ("leader_epoch", Int32),
                    ),
                ),
            ),
        )
    )


class OffsetForLeaderEpoch(Request[_Question]):
    """Asks a partition leader where epochs end; supported by brokers since 2.1."""

    API_KEY = 23

    def __init__(self, epochs: Mapping[TP, int]) -> None:
        topics = defaultdict(list)
        for tp, epoch in epochs.items():
            topics[tp.topic].append((tp.partition, _UNKNOWN, epoch))
        self._topics = list(topics.items())

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """The request in the version that the broker supports."""
        return request_struct_class(self._topics)


async def ends(client: Any, epochs: Mapping[TP, int]) -> dict[TP, int | None]:
    """The offsets at which epochs end: where the next epoch begins, or the end of the log.

    Args:
        client: aiokafka's client, which knows the leaders.
        epochs: an epoch for each partition.

    Returns:
        None where a leader cannot say: it does not know an epoch whose records were deleted by
        retention, nor one later than its own. Nothing for a partition that has no leader, or whose
        leader is in trouble that may pass, or does not answer within `ANSWER_SECONDS`.
    """
    by_leader: defaultdict[int, dict[TP, int]] = defaultdict(dict)
    for tp, epoch in epochs.items():
        leader = client.cluster.leader_for_partition(TopicPartition(*tp))
        if leader not in _NO_LEADER:
            by_leader[leader][tp] = epoch
    told = await asyncio.gather(*(_told(client, *asked) for asked in by_leader.items()))
    return {tp: end for one in told for tp, end in one.items()}


async def _told(client: Any, leader: int, epochs: Mapping[TP, int]) -> dict[TP, int | None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.send(leader, OffsetForLeaderEpoch(epochs))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return dict.fromkeys(epochs)  # older than 2.1
    except (KafkaError, TimeoutError):
        return {}
    return {
        TP(topic, partition): None if error or end == _UNKNOWN else end
        for topic, partitions in answer.topics
        for error, partition, _, end in partitions
        if (topic, partition) in epochs and not for_code(error).retriable
    }
