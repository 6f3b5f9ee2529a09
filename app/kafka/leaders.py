"""Which broker leads a partition, as a client of aiokafka knows it."""

from typing import Any

from aiokafka.structs import TopicPartition
from faust.types import TP

_NONE = -1
"""What aiokafka has for a partition that nobody leads, besides None for one that it does not know.
"""


def leader_of(client: Any, tp: TP) -> int | None:
    """The id of the broker that leads a partition; None if none does, or it is not known."""
    leader: int | None = client.cluster.leader_for_partition(TopicPartition(*tp))
    return None if leader == _NONE else leader
