"""A Faust topic whose events carry chunks."""

from typing import Any

import faust
from faust.types import EventT, Message


class ChunkTopic(faust.Topic):
    """Delivers what was fetched, undecoded: the event's value is a `Chunk`.

    Faust decodes before the stream sees a record, acknowledges what it cannot decode and then
    throws into the stream. Parsing is the agents' business here, so nothing can be lost before.
    """

    def _compile_decode(self) -> None:
        # Replaces Topic._compile_decode, which compiles the schema's decoder for single records.
        app = self.app

        async def decode(message: Message, *, propagate: bool = False) -> EventT:  # noqa: ARG001
            return app.create_event(None, message.value, None, message)  # type: ignore[no-any-return, attr-defined]

        self.decode = decode  # type: ignore[method-assign]
