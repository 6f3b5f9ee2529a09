"""`completed-others`: what the Kafka activation stores write when logs are kept elsewhere."""

from collections.abc import AsyncIterable
from typing import Any

from app.application import app
from models.roles import TopicRole


@app.agent(app.role_topics[TopicRole.OTHERS], name="others")
async def others(stream: Any) -> None:
    """Route to the internal topic, at the store level of non-blocking activations."""
    events: AsyncIterable[Any] = stream.noack().events()
    async for event in events:
        await app.intake.take(event.value, TopicRole.OTHERS)
        event.ack()
