"""Repairs missing documents by sending them to the internal topic again.

Each record is routed as the worker routes it, and its document goes to the partition that the
worker would have chosen. A header tells the guard to ignore what it remembers (`models.repair`); it
only counts on the internal topic, where nobody else writes.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.audit.errors import AuditError
from app.audit.findings import Place
from app.audit.reading import Watcher
from app.kafka.producer import BatchProducer, Outgoing, open_producer
from app.kafka.reader import Bounds, Reader, TopicPartition, open_reader
from app.kafka.records import PlacedRecord
from app.kafka.topics import TopicNames
from app.routing import Store, route
from app.settings import Settings
from models.repair import REPAIR

BATCH_RECORDS = 100
BATCH_BYTES = 8 * 1024 * 1024

SEND_SECONDS = 60.0
"""How long Kafka may take to acknowledge a batch; a worker waits for ever, somebody else does not.
"""


@dataclass
class Repaired:
    """What became of the records that were to be sent again."""

    planned: int
    sent: int = 0
    gone: int = 0
    """Kafka has deleted them meanwhile."""

    refused: int = 0
    """Kafka does not take them, or there is nothing in them that may be stored."""

    error: str | None = None
    """Why the last one of these was refused."""

    dry_run: bool = False
    """Whether nothing was sent, on purpose."""


class _NothingToStoreError(Exception):
    """The record is one that the worker would not store either."""


class Repairer:
    """Sends records again.

    Args:
        reader: connected.
        producer: connected.
        watcher: is told of every record.
        settings: which topics there are, and what is stored of them.
    """

    def __init__(
        self,
        reader: Reader,
        producer: BatchProducer,
        watcher: Watcher,
        settings: Settings,
    ) -> None:
        self._reader = reader
        self._producer = producer
        self._rules = settings.routing
        self._names = TopicNames(settings.kafka.topic_prefix)
        self._watcher = watcher
        self._repaired = Repaired(0)

    async def run(self, places: Iterable[Place]) -> Repaired:
        """Send these records; returns when Kafka has acknowledged them.

        Raises:
            AuditError: Kafka does not acknowledge what is sent.
            ReadError: Kafka does not send what is to be sent again.
            KafkaError: it is not reachable, or does not allow it.
        """
        wanted: defaultdict[TopicPartition, set[int]] = defaultdict(set)
        for topic, partition, offset in places:
            wanted[TopicPartition(topic, partition)].add(offset)
        self._repaired.planned = sum(map(len, wanted.values()))
        self._watcher.begin("sending again", self._repaired.planned)
        for tp, offsets in wanted.items():
            found = 0
            batch: list[PlacedRecord] = []
            async for record in records(self._reader, tp, offsets):
                found += 1
                batch.append(record)
                if len(batch) == BATCH_RECORDS or _size(batch) >= BATCH_BYTES:
                    await self._send(batch)
                    batch = []
            await self._send(batch)
            self._repaired.gone += len(offsets) - found
            self._watcher.forward(len(offsets) - found)
        return self._repaired

    async def _send(self, batch: list[PlacedRecord]) -> None:
        documents = []
        for record in batch:
            try:
                documents.append(self._document(record))
            except _NothingToStoreError as error:
                self._refuse(str(error))
        try:
            async with asyncio.timeout(SEND_SECONDS):
                too_large = await self._producer.send(self._names.documents, documents)
        except TimeoutError:
            raise AuditError(
                f"Kafka did not acknowledge documents in {self._names.documents} for "
                f"{SEND_SECONDS:g} s, after {self._repaired.sent} of them: see its brokers, and "
                "run it again; what arrived is found then"
            ) from None
        for document in too_large:
            self._refuse(
                f"a document of {len(document.value or b'')} bytes does not fit into "
                f"{self._names.documents}: raise its max.message.bytes"
            )
        self._repaired.sent += len(documents) - len(too_large)
        self._watcher.forward(len(batch))

    def _refuse(self, why: str) -> None:
        self._repaired.refused += 1
        self._repaired.error = why

    def _document(self, record: PlacedRecord) -> Outgoing:
        """The document of a record, as the worker would have sent it."""
        role = self._names.role(record.topic, self._rules.log_mode)
        if role is None:
            raise _NothingToStoreError(f"{record.topic} is not read in this log mode")
        decision = route(role, record.value, record.timestamp, self._rules)
        if not isinstance(decision, Store):
            raise _NothingToStoreError(
                f"offset {record.offset} of {record.topic}/{record.partition} holds nothing that "
                f"is stored ({decision.reason})"
            )
        return Outgoing(decision.activation_id.encode(), decision.document, [(REPAIR, b"audit")])


async def records(
    reader: Reader, tp: TopicPartition, offsets: set[int]
) -> AsyncIterator[PlacedRecord]:
    """Those of these records that Kafka still holds."""
    starts = await reader.starts([tp])
    left = {offset for offset in offsets if offset >= starts[tp]}
    if not left:
        return
    async for record in reader.records(tp, Bounds(min(left), max(left) + 1)):
        if record.offset in left:
            yield record


@asynccontextmanager
async def open_repairer(settings: Settings, watcher: Watcher) -> AsyncIterator[Repairer]:
    """Connect; raises `KafkaError`."""
    async with open_producer(settings.kafka) as producer, open_reader(settings.kafka) as reader:
        yield Repairer(reader, producer, watcher, settings)


def _size(batch: Iterable[PlacedRecord]) -> int:
    return sum(len(record.value or b"") for record in batch)
