"""The errors of Kafka that callers distinguish.

`KafkaError` is the base class of aiokafka's errors; `retriable` says whether one is transient. A
broken connection is an `OSError`.
"""

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupLoadInProgressError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from app.kafka.patches.committed_offsets import ELSEWHERE

COORDINATOR_NOT_READY = (GroupLoadInProgressError, *ELSEWHERE)
"""A group's coordinator is missing, or is still loading the group."""

__all__ = [
    "COORDINATOR_NOT_READY",
    "ClusterAuthorizationFailedError",
    "GroupAuthorizationFailedError",
    "KafkaError",
    "TopicAuthorizationFailedError",
    "error_text",
]


def error_text(error: BaseException) -> str:
    """The error's name and message; aiokafka's own text repeats the name."""
    name = type(error).__name__
    said = str(error).removeprefix(f"[Error {getattr(error, 'errno', None)}] ")
    said = said.removeprefix(name).removeprefix(": ")
    return f"{name}: {said}" if said else name
