"""`completed<controller>`: acknowledgements, with the records of blocking activations inside."""

from typing import Any

from faust.types import StreamT

from app.application import Persister
from app.kafka.delivery import chunk_events
from models.roles import TopicRole


def register(app: Persister) -> None:
    """Route to the internal topic, at the store level of blocking activations."""

    @app.agent(app.role_topics[TopicRole.COMPLETED], name="completed")
    async def completed(stream: StreamT[Any]) -> None:
        async for event in chunk_events(stream):
            await app.routing_step.take(event.value, TopicRole.COMPLETED)
            event.ack()
