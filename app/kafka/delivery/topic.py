"""A Faust topic whose events carry chunks."""

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import faust
from faust.types import EventT, Message, StreamT

from app.kafka.delivery.chunk import Chunk
from models.roles import TopicRole

if TYPE_CHECKING:
    from app.kafka.delivery.consumer import Consumer


class ChunkEvent(Protocol):
    """A Faust event whose value is a chunk."""

    value: Chunk

    def ack(self) -> bool:
        """Mark the chunk as finished."""


class PartEvent:
    """An event for a part of a chunk; the last one to be finished finishes the chunk's own.

    Args:
        value: the part.
        event: the chunk's event.
        left: the parts that are not finished, which all of them share.
        consumer: is told of each that is.
    """

    def __init__(
        self, value: Chunk, event: ChunkEvent, left: set[Chunk], consumer: "Consumer"
    ) -> None:
        self.value = value
        self._event = event
        self._left = left
        self._consumer = consumer

    def ack(self) -> bool:
        """Mark the part as finished."""
        self._consumer.finish(self.value)
        self._left.discard(self.value)
        if not self._left:
            self._event.ack()
        return True


async def chunk_events(stream: StreamT[Any], most: int | None = None) -> AsyncIterator[ChunkEvent]:
    """The events of a stream of chunks, acknowledged only by an explicit `event.ack()`.

    Faust's own iteration acknowledges an event as soon as the loop body is left, even by an
    exception.

    Args:
        stream: the stream.
        most: how many records a chunk may have; a larger one comes in parts, each of which is
            committed when it is finished. None for any number.
    """
    consumer = cast("Consumer", stream.app.consumer)
    events = cast("AsyncIterator[ChunkEvent]", cast("Any", stream).noack().events())
    async for event in events:
        consumer.taken(event.value)
        if most is None or event.value.count <= most:
            yield event
            continue
        parts = consumer.ledger.divide(event.value, most)
        left = set(parts)
        for part in parts:
            await consumer.may_hand_out()
            if consumer.ledger.holds(part):
                consumer.hand_out(part)
                yield PartEvent(part, event, left, consumer)
            else:
                left.discard(part)  # delivered again, or to another worker
        if not left:
            event.ack()


class ChunkTopic(faust.Topic):
    """Delivers fetched records undecoded: an event's value is a `Chunk`.

    Faust decodes a record before the stream sees it. If that fails, it acknowledges the record and
    throws into the stream. Here the agents parse, so that no record is lost before they see it.

    Args:
        role: the role of the OpenWhisk topics that it reads, whose names discovery fills in; None
            for the internal topic.
    """

    def __init__(self, app: Any, *, role: TopicRole | None = None, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.role = role

    def _clone_args(self) -> Mapping[str, Any]:
        # Each agent reads a clone of its topic.
        return {**super()._clone_args(), "role": self.role}

    def get_topic_name(self) -> str:
        """The name that `faust agents` shows; Faust's raises while no topic of the role exists."""
        return str(super().get_topic_name()) if self.topics else f"({self.role}: none yet)"

    def _compile_decode(self) -> None:
        # Replaces Topic._compile_decode, which compiles the schema's decoder for single records.
        app = self.app

        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG001
            return app.create_event(None, message.value, None, message)

        self.decode = decode  # type: ignore[method-assign]
