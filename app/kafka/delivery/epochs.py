"""Notices that Kafka lost the end of a log which was read, and has written other records there.

Whoever becomes a partition's leader begins an epoch, and each batch carries its leader's. When a
leader is elected that does not have all records (`unclean.leader.election.enable`), or the disk of
a single broker is restored from a copy, the log ends before what a group has committed, and goes on
from there in a new epoch. While it is still shorter than what is committed, the offsets show it.
Once it is longer they do not, and what was written between would never be read.

So the epoch up to which was read is committed with an offset (see `notes`), and when a partition is
assigned its leader is asked where that epoch ends (OffsetForLeaderEpoch, KIP-320): before the
committed offset means that what follows is new. The same is asked when a batch of another epoch
comes while the partition stays assigned (see `app.kafka.patches.new_leaders`). Kafka's own client
for Java keeps the epoch in a field of the commit that aiokafka 0.14 does not have, and this is not
in it at all (see aio-libs/aiokafka, where nobody has asked for it).

A leader that lacks the epoch names the last one before it that it has. If it has none, or was
restored from a copy so old that its own epochs are not that far yet, nobody can say up to where the
log is the one that was read, and all of it is read again: Java's client resets to the start, too.
What no epoch shows is a log that has been restored, and in which the epoch that was read was begun
once more.

A leader that was replaced, and leads again, may have gone on in an epoch beyond the place from
which on its successor's records were read. So how far each of the last epochs was read counts, too.
A commit has only the last one: who reads on from it passes over such records.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, UnsupportedVersionError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String
from faust.types import TP

from app.kafka.leaders import leader_of
from app.kafka.patches.new_leaders import Read

ANSWER_SECONDS = 3.0
"""Seconds that a leader gets to answer, while positions wait for it."""

_UNKNOWN = -1


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


@dataclass(frozen=True)
class End:
    """Where an epoch ends, as the leader knows it (Kafka, `LeaderEpochFileCache.endOffsetFor`).

    Args:
        epoch: the one that was asked for, or the last one before it that the log has. It is also
            the one that was asked for if retention has deleted all records up to it. -1: it is
            later than all that the log has.
        offset: where the next epoch begins, or the end of the log; -1 with an epoch of -1.
    """

    epoch: int
    offset: int


def cut(read: Sequence[Read], end: End | None) -> Read | None:
    """Up to where a log has the records that were read.

    Args:
        read: how far each of the last epochs was read, in order; the last one is the present.
        end: where its leader says that the present epoch ends; None if it cannot say.

    Returns:
        None if the log has all that was read, or if nobody can say. Otherwise the offset from which
        on it may have other records, and the last epoch before that which it has. The offset is 0,
        and no epoch known, if it does not tell where: the start of the log may be later.
    """
    if end is None or (end.epoch == read[-1].epoch and end.offset >= read[-1].offset):
        return None
    known = [(one.offset, one.epoch) for one in read if one.epoch is not None]
    has = [offset for offset, _ in takewhile(lambda one: one[1] <= end.epoch, known)]
    # What was read behind these had a later epoch, so a log without that has lost it, however far
    # the epochs before it go by now.
    offset = min(has[-1], end.offset) if has else end.offset
    lost = read[-1] if has else read[0]
    return Read(offset, end.epoch) if 0 <= offset < lost.offset else Read(0, None)


async def ends(client: Any, epochs: Mapping[TP, int]) -> dict[TP, End | None]:
    """Ask the leaders where epochs end.

    Args:
        client: aiokafka's client, which knows the leaders.
        epochs: an epoch for each partition.

    Returns:
        None where a leader does not support the question. Nothing for a partition that has no
        leader, or whose leader answers with any error, or not within `ANSWER_SECONDS`: it has to be
        asked again, as Kafka's own client does.
    """
    by_leader: defaultdict[int, dict[TP, int]] = defaultdict(dict)
    for tp, epoch in epochs.items():
        if (leader := leader_of(client, tp)) is not None:
            by_leader[leader][tp] = epoch
    told = await asyncio.gather(*(_told(client, *asked) for asked in by_leader.items()))
    return {tp: end for one in told for tp, end in one.items()}


async def _told(client: Any, leader: int, epochs: Mapping[TP, int]) -> dict[TP, End | None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.send(leader, OffsetForLeaderEpoch(epochs))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return dict.fromkeys(epochs)  # older than 2.1
    except (KafkaError, TimeoutError):
        return {}
    return {
        TP(topic, partition): None if error else End(epoch, offset)
        for topic, partitions in answer.topics
        for error, partition, epoch, offset in partitions
        if (topic, partition) in epochs and error in (0, UnsupportedVersionError.errno)
    }
