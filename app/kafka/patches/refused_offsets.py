"""Keeps one partition whose offset Kafka refuses from blocking the commits of the others.

aiokafka 0.14 (`GroupCoordinator.commit_offsets`) commits again, without end, when one partition is
answered with an error that it takes for passing. `UnknownTopicOrPartitionError` is one, and never
passes when the topic was deleted: a rebalance waits for this commit, and with it the whole group
(aio-libs/aiokafka#1095). With `TopicAuthorizationFailedError` it raises, although the other
partitions were committed.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from aiokafka.errors import (
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.types import TP

Send = Callable[[Any], Awaitable[Any]]
Refused = MutableMapping[TP, type[BaseException]]

OF_ONE_PARTITION = (UnknownTopicOrPartitionError, TopicAuthorizationFailedError)
"""Errors that concern one partition only, not the group or other partitions."""


def set_refused_aside(coordinator: Any, refused: Refused) -> None:
    """Make aiokafka's `GroupCoordinator` accept such answers; they are recorded in `refused`."""
    coordinator._send_req = noting(coordinator._send_req, refused)  # noqa: SLF001


def noting(send: Send, refused: Refused) -> Send:
    """Wrap a sender of requests to take refused partitions out of the answers to commits."""

    async def send_noting(request: Any) -> Any:
        response = await send(request)
        if isinstance(request, OffsetCommitRequest):
            response.topics = [
                (
                    topic,
                    [
                        (number, code)
                        for number, code in partitions
                        if not note(topic, number, code)
                    ],
                )
                for topic, partitions in response.topics
            ]
        return response

    def note(topic: str, number: int, code: int) -> bool:
        error = for_code(code)
        if error not in OF_ONE_PARTITION:
            return False
        refused[TP(topic, number)] = error
        return True

    return send_noting
