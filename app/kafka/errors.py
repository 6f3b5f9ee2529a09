"""The errors of Kafka that callers distinguish.

`KafkaError` is the base class of aiokafka's errors; `retriable` says whether one is transient. A
broken connection is an `OSError`.
"""

from aiokafka.errors import GroupAuthorizationFailedError, GroupLoadInProgressError, KafkaError

from app.kafka.patches.committed_offsets import ELSEWHERE

COORDINATOR_NOT_READY = (GroupLoadInProgressError, *ELSEWHERE)
"""A group's coordinator is missing, or is still loading the group."""

__all__ = ["COORDINATOR_NOT_READY", "GroupAuthorizationFailedError", "KafkaError"]
