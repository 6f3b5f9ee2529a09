"""`completed-others`: records of the Kafka activation store whose logs are kept elsewhere."""

from typing import Any

from faust.types import StreamT

from app.application import Persister
from app.kafka.delivery import chunk_events
from models.roles import TopicRole


def register(app: Persister) -> None:
    """Route to the internal topic, at the store level of non-blocking activations."""

    @app.agent(app.role_topics[TopicRole.OTHERS], name="others")
    async def others(stream: StreamT[Any]) -> None:
        async for event in chunk_events(stream):
            await app.routing_step.take(event.value, TopicRole.OTHERS)
            event.ack()
