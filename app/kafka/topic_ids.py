"""Asks brokers for the ids of topics.

A topic that is deleted and created again has the same name and another id (KIP-516), which no topic
ever has again. See `Consumer` and `Discovery` for what depends on them.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from app.kafka.leaders import leader_of
from app.kafka.metadata import NO_ID, Metadata

ANSWER_SECONDS = 1.5
"""Seconds that a broker gets to answer."""

MOST_OTHERS = 4
"""How many other brokers are asked at most for what one has told."""


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
        if (leader := leader_of(client, tp)) is not None:
            asked[leader].add(tp)
            sure.add(tp)
        elif (node := client.get_random_node()) is not None:
            asked[node].add(tp)
    answers = await asyncio.gather(
        *(_told(client, node, {tp.topic for tp in tps}) for node, tps in asked.items())
    )
    found: dict[TP, bytes] = {}
    doubted: defaultdict[Any, dict[TP, bytes]] = defaultdict(dict)
    for (node, tps), told in zip(asked.items(), answers, strict=True):
        for tp in (tp for tp in tps if tp.topic in told):
            topic_id = told[tp.topic]
            expected = known.get(tp, topic_id if tp in sure else None)
            believed = found if topic_id == expected else doubted[node]
            believed[tp] = topic_id
    for confirmed in await asyncio.gather(*(_confirmed(client, *one) for one in doubted.items())):
        found |= confirmed
    return found


async def _confirmed(client: Any, node: Any, ids: Mapping[TP, bytes]) -> dict[TP, bytes]:
    """Those of the ids that `node` has told which another broker tells, too."""
    others = [broker.nodeId for broker in client.cluster.brokers() if broker.nodeId != node]
    random.shuffle(others)
    topics = {tp.topic for tp in ids}
    answers = await asyncio.gather(
        *(_told(client, other, topics) for other in others[:MOST_OTHERS] or [node])
    )
    return {
        tp: topic_id
        for tp, topic_id in ids.items()
        if any(told.get(tp.topic) == topic_id for told in answers)
    }


async def _told(client: Any, node: Any, topics: Collection[str]) -> dict[str, bytes]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await client.send(node, Metadata(topics))
    except (KafkaError, NotImplementedError, TimeoutError):
        return {}
    return {
        topic: topic_id
        for error, topic, topic_id, *_ in answer.topics
        if not error and topic in topics and topic_id != NO_ID
    }
