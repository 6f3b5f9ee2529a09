"""A Kafka as a producer sees it: topics with limits, and sequence numbers with gaps.

`tests/contract` says what it has in common with a real broker, and is run against both.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

BROKER_DEFAULT = 1_048_588
"""The broker's `max.message.bytes`."""


class FakeBroker:
    """Keeps what is sent, and refuses what a broker refuses.

    Attributes:
        records: by topic and partition, in order.
        batches: the same, with how many records came together.
        codecs: topics, and how their batches were compressed.
        handed: topic and record of everything that was handed over, in order.
        arrived: set when something was.
        clients: all that were made.
        failures: what the next batches fail with instead of being written.
        refused_starts: how many of the next clients cannot connect.
    """

    def __init__(self) -> None:
        self.records: dict[str, dict[int, list[Any]]] = {}
        self.batches: dict[str, dict[int, list[int]]] = {}
        self.codecs: set[tuple[str, int]] = set()
        self.clients: list[FakeClient] = []
        self.failures: list[KafkaError] = []
        self.refused_starts = 0
        self.handed: list[tuple[str, Any]] = []
        self.arrived = asyncio.Event()
        self._answering = True
        self._held: list[Callable[[], None]] = []
        self._left: int | None = None
        self._limits: dict[str, int] = {}
        self._next: dict[tuple[int, str, int], int] = {}
        self._another = asyncio.Condition()

    @property
    def answering(self) -> bool:
        """Whether batches are taken and acknowledged, or held until they are."""
        return self._answering

    @answering.setter
    def answering(self, answering: bool) -> None:
        self._answering = answering
        if answering:
            held, self._held = self._held, []
            for deliver in held:
                deliver()

    def hold_after(self, batches: int) -> None:
        """Answer for so many batches more, and for no other until `answering` is set."""
        self._left = batches

    def deliver(self, deliver: Callable[[], None]) -> None:
        """Take a batch, in a moment or once the broker answers."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._answering, self._left = False, None
        if self._answering:
            asyncio.get_running_loop().call_soon(deliver)
        else:
            self._held.append(deliver)

    def create(self, topic: str, partitions: int = 1, limit: int = BROKER_DEFAULT) -> None:
        """Create a topic; `limit` is its `max.message.bytes`."""
        self.records[topic] = {number: [] for number in range(partitions)}
        self.batches[topic] = {number: [] for number in range(partitions)}
        self._limits[topic] = limit

    def client(self) -> "FakeClient":
        """A client that is not connected yet."""
        made = FakeClient(self, len(self.clients))
        self.clients.append(made)
        return made

    async def made(self, clients: int) -> None:
        """Return when so many clients have connected."""
        async with self._another:
            await self._another.wait_for(lambda: len(self.clients) >= clients)

    async def connected(self) -> None:
        """A client has."""
        async with self._another:
            self._another.notify_all()

    def values(self, topic: str) -> dict[int, list[bytes]]:
        """What stands in each partition that is not empty."""
        return {
            number: [record.value for record in records]
            for number, records in self.records[topic].items()
            if records
        }

    def append(self, topic: str, partition: int, encoded: bytes) -> int:
        """Write a batch; returns its offset.

        Raises:
            MessageSizeTooLargeError: it is larger than the topic's limit.
            OutOfOrderSequenceNumber: it does not follow what its producer wrote before.
        """
        if len(encoded) > self._limits[topic]:
            raise MessageSizeTooLargeError
        batch = DefaultRecordBatch(encoded)
        writer = batch.producer_id, topic, partition
        # A producer that has written nothing yet may begin with any number.
        if batch.base_sequence != self._next.get(writer, batch.base_sequence):
            raise OutOfOrderSequenceNumber
        records = list(batch)
        self._next[writer] = batch.base_sequence + len(records)
        written = self.records[topic][partition]
        offset = len(written)
        written += records
        self.batches[topic][partition].append(len(records))
        self.codecs.add((topic, batch.compression_type))
        return offset


class FakeClient:
    """An idempotent `AIOKafkaProducer`, as far as `BatchProducer` uses one."""

    def __init__(self, broker: FakeBroker, producer_id: int) -> None:
        self.client = self  # aiokafka's, which knows the cluster
        self.stopped = False
        self._sender = self
        self._message_accumulator = self
        self._batches: dict[Any, Any] = {}
        self._pending_batches: set[Any] = set()
        self._broker = broker
        self._id = producer_id
        self._sequence: defaultdict[tuple[str, int], int] = defaultdict(int)

    async def start(self) -> None:
        if self._broker.refused_starts:
            self._broker.refused_starts -= 1
            raise KafkaConnectionError("refused")
        await self._broker.connected()

    async def stop(self) -> None:
        self.stopped = True

    async def close(self) -> None:
        self.stopped = True

    async def force_metadata_update(self) -> bool:
        return self._broker.answering

    async def partitions_for(self, topic: str) -> set[int]:
        if topic not in self._broker.records:
            raise UnknownTopicOrPartitionError
        return set(self._broker.records[topic])

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        if self.stopped:
            raise ProducerClosed
        count = batch.record_count()
        # Before it is known what becomes of the batch, as aiokafka does it.
        sequence = self._sequence[topic, partition]
        self._sequence[topic, partition] += count
        batch._set_producer_state(self._id, 0, sequence)
        encoded = bytes(batch._build())
        acknowledged = asyncio.get_running_loop().create_future()
        self._broker.deliver(partial(self._deliver, acknowledged, topic, partition, encoded))
        self._broker.handed += [(topic, record) for record in DefaultRecordBatch(encoded)]
        self._broker.arrived.set()
        return asyncio.shield(acknowledged)

    def _deliver(
        self, acknowledged: asyncio.Future[Any], topic: str, partition: int, encoded: bytes
    ) -> None:
        try:
            if self.stopped:
                raise ProducerClosed
            if self._broker.failures:
                raise self._broker.failures.pop(0)
            offset = self._broker.append(topic, partition, encoded)
        except KafkaError as error:
            acknowledged.set_exception(error)
        else:
            acknowledged.set_result(SimpleNamespace(offset=offset))
