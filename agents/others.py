"""`completed-others`: what the Kafka activation stores write when logs are kept elsewhere."""

from typing import Any

from app.application import app
from models.roles import TopicRole


@app.agent(app.role_topics[TopicRole.OTHERS], name="others")
async def others(stream: Any) -> None:
    """Route to the internal topic, at the store level of non-blocking activations."""
    async for event in stream.noack().events():
        await app.intake.take(event.value, TopicRole.OTHERS)
        event.ack()
