"""The producer as a service that Faust starts and stops."""

from typing import Any

from mode import Service

from app.kafka.producer import BatchProducer


class ProducerService(Service):
    """Connects a producer before the worker consumes, and disconnects it afterwards."""

    def __init__(self, producer: BatchProducer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._producer = producer

    @property
    def trouble(self) -> str:
        """Why records are waiting to be sent; empty while none are."""
        return self._producer.trouble

    async def on_start(self) -> None:
        """Connect.

        Raises:
            KafkaError: no broker can be reached, or it refuses.
        """
        await self._producer.start()

    async def on_stop(self) -> None:
        """Give records in flight a moment, and disconnect."""
        await self._producer.stop()
