"""Faust's aiokafka transport with our consumer, producer and conductor."""

import asyncio
from typing import Any, ClassVar

import faust
from faust.exceptions import ProducerSendError
from faust.transport.conductor import Conductor as FaustConductor
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from app.kafka.delivery.callbacks import Callbacks
from app.kafka.delivery.consumer import Consumer
from app.kafka.delivery.ledger import Ledger
from app.kafka.patches.foreign_entries import Sieve
from app.kafka.patches.unflushable_buffer import Buffer
from app.settings import KafkaSettings

FLUSH_DEADLINE = 5.0
"""Seconds that a commit waits for what Faust still has to send: entries of the guard's table."""


class Producer(driver.Producer):
    """Faust's producer, which sends only the guard's table, with bounded waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer.beacon.detach(self.beacon)
        self.buffer = Buffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Send an entry; returns a future, which fails where Faust's method would raise.

        An exception would end the worker, and aiokafka raises one for a topic that it is no longer
        allowed to see.
        """
        try:
            return await super().send(*args, **kwargs)
        except ProducerSendError as error:
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(error.__cause__ or error)
            return failed

    async def flush(self) -> None:
        """Wait until everything is sent, but no longer than `FLUSH_DEADLINE`.

        Duplicates that the guard misses because of an unsent entry still meet a conflict in the
        database.
        """
        try:
            async with asyncio.timeout(FLUSH_DEADLINE):
                await super().flush()
        except TimeoutError:
            self.log.warning(
                "Kafka did not take the guard's entries within %g s; going on without them.",
                FLUSH_DEADLINE,
            )


class Conductor(FaustConductor):
    """Resubscribes soon after topics were added, not after 45 seconds."""

    _resubscribe_sleep_lock_seconds = 1.0


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer, producer and conductor.

    Args:
        url: addresses of the brokers.
        app: Faust's application.
        kafka: the settings for Kafka.
        ledger: the positions of the assigned partitions.
        shutdown_deadline: seconds that in-flight work gets when the worker stops.
        callbacks: what the consumer calls in the worker.
        sieve: chooses the records of the guard's changelog that its table needs; None: all of them.
    """

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer
    Conductor: ClassVar[Any] = Conductor

    def __init__(
        self,
        url: list[URL],
        app: faust.App,
        *,
        kafka: KafkaSettings,
        ledger: Ledger,
        shutdown_deadline: float,
        callbacks: Callbacks,
        sieve: Sieve | None = None,
    ) -> None:
        super().__init__(url, app)
        self.kafka = kafka
        self.ledger = ledger
        self.shutdown_deadline = shutdown_deadline
        self.callbacks = callbacks
        self.sieve = sieve
