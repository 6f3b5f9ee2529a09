"""`persister-documents`, the internal topic: into the database."""

from typing import Any

from app.application import app


@app.agent(app.documents_topic, name="documents")
async def documents(stream: Any) -> None:
    """Store each chunk; its event is acknowledged when its last document is settled.

    Chunks are stored side by side, so that documents of all partitions fill a request together.
    """
    async for event in stream.noack().events():
        await app.storage.submit(event)
