"""`activations`: what the Kafka activation stores write when logs are inside the record."""

from typing import Any

from app.application import app
from models.roles import TopicRole


@app.agent(app.role_topics[TopicRole.ACTIVATIONS], name="activations")
async def activations(stream: Any) -> None:
    """Route to the internal topic, at the store level of non-blocking activations."""
    async for event in stream.noack().events():
        await app.intake.take(event.value, TopicRole.ACTIVATIONS)
        event.ack()
