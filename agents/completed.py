"""`completed<controller>`: acknowledgements, and the records of blocking activations in them."""

from typing import Any

from app.application import app
from models.roles import TopicRole


@app.agent(app.role_topics[TopicRole.COMPLETED], name="completed")
async def completed(stream: Any) -> None:
    """Route to the internal topic, at the store level of blocking activations."""
    async for event in stream.noack().events():
        await app.intake.take(event.value, TopicRole.COMPLETED)
        event.ack()
