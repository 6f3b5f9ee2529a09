"""`persister-documents`, the internal topic: stores its documents in the database."""

from typing import Any

from faust.types import StreamT

from app.application import Persister
from app.kafka.delivery import chunk_events


def register(app: Persister) -> None:
    """Store each chunk; its event is acknowledged when its last document is settled.

    Chunks are stored concurrently, so that documents of all partitions share a bulk request. With a
    maximum rate, a chunk comes in parts of a second each: a worker that stops, or loses partitions,
    would begin anew with a chunk that takes minutes.
    """

    @app.agent(app.documents_topic, name="documents")
    async def documents(stream: StreamT[Any]) -> None:
        async for event in chunk_events(stream, app.settings.database.documents_of_a_second):
            await app.storing_step.submit(event)
