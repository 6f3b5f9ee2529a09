"""A transactional producer: writes all records or none; a second writer fences off the first.

Only the log of replays needs it. Topics that workers read are never written in transactions, whose
markers look like records that are never finished.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from app.kafka.clients import client_options
from app.kafka.producer import close_client
from app.settings import KafkaSettings

TRANSACTION_SECONDS = 10.0
"""The transaction time-out: the next writer, or Kafka after this, aborts what a killed one left."""


ANSWER_SECONDS = 30.0
"""How long Kafka may take; aiokafka tries again for ever while it gets no producer's id."""

STOP_SECONDS = 5.0


class FencedError(Exception):
    """Another writer with the same id has started."""


class TransactionalProducer:
    """Writes in transactions.

    Args:
        client: a started client; `open_transactional_producer` makes one.
    """

    def __init__(self, client: AIOKafkaProducer) -> None:
        self._client = client

    async def write(self, topic: str, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write all of these records, each a key and a value, or none.

        Raises:
            FencedError: another writer with the same id has started.
            KafkaError: Kafka cannot be reached, or refuses.
            TimeoutError: it does not answer in time.
        """
        # In a task, because an attempt that is cancelled is aborted, for which it waits, too.
        writing = asyncio.ensure_future(self._write(topic, records))
        try:
            done, _ = await asyncio.wait([writing], timeout=ANSWER_SECONDS)
        finally:
            writing.cancel()
        if not done:
            raise TimeoutError
        await writing

    async def _write(self, topic: str, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        try:
            async with self._client.transaction():
                for key, value in records:
                    await self._client.send(topic, value, key)
        except (ProducerFenced, InvalidProducerEpoch):
            raise FencedError from None


@asynccontextmanager
async def open_transactional_producer(
    settings: KafkaSettings, transactional_id: str
) -> AsyncIterator[TransactionalProducer]:
    """Connect for as long as the block runs, and stop any other writer with this id.

    Raises:
        KafkaError: Kafka cannot be reached, or refuses.
        TimeoutError: it does not answer in time.
    """
    client = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        transactional_id=transactional_id,
        transaction_timeout_ms=int(TRANSACTION_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.start()
        yield TransactionalProducer(client)
    finally:
        await close_client(client, STOP_SECONDS)
