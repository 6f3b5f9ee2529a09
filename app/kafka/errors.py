"""What goes wrong with Kafka, as those who use this room tell it apart.

`KafkaError` is the base of all that aiokafka raises; its `retriable` says whether it may pass. A
connection that breaks meanwhile is an `OSError`.
"""

from aiokafka.errors import GroupAuthorizationFailedError, GroupLoadInProgressError, KafkaError

from app.kafka.patches.committed_offsets import ELSEWHERE

COORDINATOR_NOT_READY = (GroupLoadInProgressError, *ELSEWHERE)
"""A group's coordinator is not there, or has not read yet what it must know."""

__all__ = ["COORDINATOR_NOT_READY", "GroupAuthorizationFailedError", "KafkaError"]
