"""Keeps one partition that Kafka refuses to serve from blocking the others.

aiokafka 0.14 keeps `TopicAuthorizationFailedError` of one partition as the result of the next call
for records of any; Faust's reader of records ends with it, and the worker with that. A topic that
may be seen and not read would hold up all others (confluentinc/librdkafka#3072).

And of a partition that is gone it asks only for new metadata. When a topic was deleted and made
again in between, nothing in them differs, the group is not asked, and reading goes on in the new
topic at the offset of the old one.
"""

from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.protocol.fetch import FetchRequest

SendTo = Callable[..., Awaitable[Any]]

RETRY_SECONDS = 10.0
"""Seconds between two attempts to read a forbidden topic."""

REJOIN_SECONDS = 5.0
"""Seconds between two rebalances because of partitions that are gone."""

FORBIDDEN, GONE = TopicAuthorizationFailedError.errno, UnknownTopicOrPartitionError.errno


class Fetches:
    """Handles partitions that an aiokafka consumer may not fetch, or that are gone.

    Args:
        say: logs a message; called in the consumer's thread.
    """

    def __init__(
        self, say: Callable[[str], object], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._since: dict[TopicPartition, float] = {}
        self._unreadable: dict[str, str] = {}
        self._rejoined = -REJOIN_SECONDS
        self._consumer: Any = None

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The topics that are left out, and why."""
        return self._unreadable

    def watch(self, consumer: Any) -> None:
        """Check every answer to a consumer, which has just been started."""
        self._consumer = consumer
        client = consumer._client  # noqa: SLF001
        client.send = self.seeing(client.send)

    def try_again(self) -> None:
        """Retry forbidden partitions after a pause; forget those no longer assigned."""
        now = self._clock()
        for tp, since in tuple(self._since.items()):
            state = self._state(tp)
            if not state:
                self._forget(tp)
            elif now - since >= RETRY_SECONDS:
                state.resume()

    def _forget(self, tp: TopicPartition) -> None:
        self._since.pop(tp, None)
        if not any(left.topic == tp.topic for left in self._since):
            self._unreadable.pop(tp.topic, None)

    def seeing(self, send: SendTo) -> SendTo:
        """Wrap a sender of requests to take refused partitions out of the answers to fetches."""

        async def send_seeing(node: Any, request: Any, **kwargs: Any) -> Any:
            response = await send(node, request, **kwargs)
            if isinstance(request, FetchRequest):
                response.topics = [
                    (topic, [one for one in partitions if self._may_be_taken(topic, *one[:2])])
                    for topic, partitions in response.topics
                ]
            return response

        return send_seeing

    def _may_be_taken(self, topic: str, number: int, code: int) -> bool:
        tp = TopicPartition(topic, number)
        if code == FORBIDDEN:
            self._leave_out(tp)
            return False
        if code == GONE:
            self._rejoin()
        elif code == 0 and tp in self._since:
            self._forget(tp)
            self._say(f"{topic} may be read now, and is")
        return True

    def _leave_out(self, tp: TopicPartition) -> None:
        self._since[tp] = self._clock()
        if state := self._state(tp):
            state.pause()
        if tp.topic not in self._unreadable:
            self._unreadable[tp.topic] = "Read is not granted on it"
            self._say(
                f"{tp.topic} may be seen, but not read, and is left out: grant Read on it. It is "
                f"tried again every {RETRY_SECONDS:g} s"
            )

    def _rejoin(self) -> None:
        now = self._clock()
        if now - self._rejoined >= REJOIN_SECONDS:
            self._rejoined = now
            self._consumer._coordinator.request_rejoin()  # noqa: SLF001

    def _state(self, tp: TopicPartition) -> Any:
        subscription = self._consumer._subscription.subscription  # noqa: SLF001
        assignment = subscription and subscription.assignment
        return assignment and assignment.state_value(tp)
