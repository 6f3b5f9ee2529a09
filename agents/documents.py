"""`persister-documents`, the internal topic: into the database."""

from collections.abc import AsyncIterable
from typing import Any

from app.application import app


@app.agent(app.documents_topic, name="documents")
async def documents(stream: Any) -> None:
    """Store each chunk; its event is acknowledged when its last document is settled.

    Chunks are stored side by side, so that documents of all partitions fill a request together.
    """
    events: AsyncIterable[Any] = stream.noack().events()
    async for event in events:
        await app.storage.submit(event)
