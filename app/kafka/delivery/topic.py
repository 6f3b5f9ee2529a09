"""A Faust topic whose events carry chunks."""

from collections.abc import Mapping
from typing import Any

import faust
from faust.types import EventT, Message

from models.roles import TopicRole


class ChunkTopic(faust.Topic):
    """Delivers what was fetched, undecoded: the event's value is a `Chunk`.

    Faust decodes before the stream sees a record, acknowledges what it cannot decode and then
    throws into the stream. Parsing is the agents' business here, so nothing can be lost before.

    Args:
        role: of OpenWhisk's topics that are read through it, which discovery fills in; None for
            the internal topic.
    """

    def __init__(self, app: Any, *, role: TopicRole | None = None, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.role = role

    def _clone_args(self) -> Mapping[str, Any]:
        # Each agent reads a clone of its topic.
        return {**super()._clone_args(), "role": self.role}

    def _compile_decode(self) -> None:
        # Replaces Topic._compile_decode, which compiles the schema's decoder for single records.
        app = self.app

        async def decode(message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG001
            return app.create_event(None, message.value, None, message)

        self.decode = decode  # type: ignore[method-assign]
