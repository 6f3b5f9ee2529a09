"""What each step of a record's way costs, in CPU time, without Kafka and without a database.

`python -m dev.bench.hot_path` prints the least microseconds for a record as JSON, by step: the
worker's own parts, with the network cut off at their ends. `change` compares two commits by it.
"""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import uvloop
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from app.application import GC_THRESHOLDS
from app.couchdb.database import Database
from app.couchdb.writer import BulkWriter
from app.dead_letters import DeadLetters
from app.kafka.delivery import Chunk, ChunkEvent
from app.kafka.producer import BatchProducer, Outgoing
from app.kafka.topics import OTHERS, TopicNames
from app.monitoring.activity import Watched
from app.monitoring.outcomes import Outcomes, Step
from app.routing.breaker import Breakers
from app.routing.step import RoutingStep
from app.settings import (
    BreakerSettings,
    DatabaseSettings,
    DiagnosisSettings,
    GuardSettings,
    KafkaSettings,
    RoutingSettings,
    StoreBreakerSettings,
    WorkerSettings,
)
from app.storing.breaker import StoreBreaker
from app.storing.guard import Guard
from app.storing.sink import STORED, Document, Outcome, Result
from app.storing.step import StoringStep
from dev.bench.throughput import document
from dev.traffic.backlog import NAMESPACE, messages
from models.roles import TopicRole

RECORDS = 2000
"""In a chunk: some two megabytes, as a backlog brings them."""

RECORD_BYTES = 1024
PARTITIONS = 8
STEP_SECONDS = 0.1
"""Of passes of a step; the fastest counts: the others met somebody else."""

NAMES = TopicNames()
INPUT, DOCUMENTS = TP(NAMES.prefix + OTHERS, 0), TP(NAMES.documents, 0)


class Kafka:
    """A client that has every batch acknowledged at once (`app.kafka.producer.Client`)."""

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        """There is nothing to disconnect from."""

    async def partitions_for(self, topic: str) -> set[int]:  # noqa: ARG002 - the protocol's
        """As many as the internal topic has."""
        return set(range(PARTITIONS))

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        """Compress a batch, as aiokafka does when it sends it."""
        encoded(batch)
        sent = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(topic=topic, partition=partition, offset=0))
        return sent


class Nowhere(BatchProducer):
    """A producer that everything is acknowledged to before it is packed."""

    async def send(self, *_: object, **__: object) -> list[Outgoing]:
        """Nothing is too large."""
        return []


class Everything:
    """A sink that takes everything at once (`app.storing.sink.Sink`)."""

    identity = b"database"
    waiting_documents = 0
    failing = False

    async def next_change(self) -> None:
        """Nothing waits, and nothing fails."""
        await asyncio.Event().wait()

    async def found(self) -> None:
        """It is there."""

    async def compare(self, documents: Sequence[Document]) -> list[Outcome | None]:
        """Nothing is there."""
        return [None] * len(documents)

    async def write(self, documents: Sequence[Document]) -> list[Result]:
        """All of it is new."""
        return [STORED] * len(documents)


class CouchDB(Database):
    """A database whose answers are there before it is asked."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(DatabaseSettings())
        self._answer = answer

    async def prepare(self) -> bool:
        """It is there."""
        return False

    async def _signed(self, *_: object, **__: object) -> tuple[int, bytes, dict[str, str]]:
        return 201, self._answer, {}


class Stored:
    """The event of a chunk (`app.kafka.delivery.ChunkEvent`), and whether it is acknowledged."""

    def __init__(self, chunk: Chunk) -> None:
        self.value = chunk
        self.acknowledged = asyncio.Event()

    def ack(self) -> None:
        """Note it."""
        self.acknowledged.set()


def chunk(tp: TP, values: Sequence[bytes]) -> Chunk:
    """A chunk of records as the consumer unpacks them."""
    batch = BatchBuilder(2 * sum(map(len, values)), 0)
    for value in values:
        batch.append(timestamp=None, key=None, value=value)
    return Chunk(tp, list(MemoryRecords(encoded(batch)).next_batch()))


def encoded(batch: BatchBuilder) -> bytes:
    """A batch as it is sent."""
    return bytes(batch._build())  # noqa: SLF001 - aiokafka's sender calls it


async def routing(values: Sequence[bytes]) -> float:
    """Read, decide, make the document, count; CPU seconds."""
    producer = Nowhere(KafkaSettings())
    step = RoutingStep(
        RoutingSettings(),
        producer,
        NAMES.documents,
        DeadLetters(producer, NAMES.dead_letters),
        Outcomes(),
        breakers=Breakers(BreakerSettings()),
    )
    return await _spent(step.take(chunk(INPUT, values), TopicRole.OTHERS))


async def packing(documents: Sequence[Document]) -> float:
    """Find the partitions, pack and compress the batches, wait for their acknowledgement."""
    producer = BatchProducer(KafkaSettings(), new_client=Kafka)
    await producer.start()
    outgoing = [Outgoing(one.id.encode(), one.body) for one in documents]
    return await _spent(producer.send(NAMES.documents, outgoing))


async def storing(documents: Sequence[Document]) -> float:
    """Identify, ask the guard, have it remember, count."""
    outcomes = Outcomes()
    table: dict[str, bytes] = {}
    guard = Guard(table, GuardSettings(), clock=time.time, forget=table.__delitem__)
    guard.assign([DOCUMENTS.partition])
    step = StoringStep(
        guard,
        Everything(),
        DeadLetters(Nowhere(KafkaSettings()), NAMES.dead_letters),
        outcomes,
        WorkerSettings(),
        breaker=StoreBreaker(StoreBreakerSettings()),
        stored=Watched(activity=True, namespaces=frozenset()).stored,
    )
    event = Stored(chunk(DOCUMENTS, [one.body for one in documents]))

    async def store() -> None:
        await step.submit(cast("ChunkEvent", event))
        await event.acknowledged.wait()

    await step.start()
    seconds = await _spent(store())
    await step.stop()
    if outcomes.consumed[Step.STORE] != len(documents):
        raise RuntimeError("not everything was stored")
    return seconds


async def requesting(documents: Sequence[Document]) -> float:
    """Queue, cut requests, join their bodies, read the answers."""
    half = len(documents) // 2  # requests of a thousand
    answer = msgspec.json.encode(
        [
            {"ok": True, "id": one.id, "rev": f"1-{number:032x}"}
            for number, one in enumerate(documents[:half])
        ]
    )
    writer = BulkWriter(CouchDB(answer), DatabaseSettings(), DiagnosisSettings())
    await writer.start()
    seconds = await _spent(writer.write(documents[:half]))
    await writer.stop()
    return 2 * seconds


async def _spent(work: Awaitable[object]) -> float:
    """CPU seconds that something takes."""
    started = time.process_time()
    await work
    return time.process_time() - started


async def measure() -> dict[str, float]:
    """Microseconds for each record, by step."""
    sent = list(messages(RECORDS, RECORD_BYTES))
    values = [value for _, value in sent]
    documents = [Document(f"{NAMESPACE}/{id_}", document(value)) for id_, value in sent]
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    steps: dict[str, Callable[[], Awaitable[float]]] = {
        "route": lambda: routing(values),
        "pack": lambda: packing(documents),
        "store": lambda: storing(documents),
        "request": lambda: requesting(documents),
    }
    return {name: await _fastest(step) / RECORDS * 1e6 for name, step in steps.items()}


async def _fastest(step: Callable[[], Awaitable[float]]) -> float:
    """The least CPU seconds of several passes."""
    passes: list[float] = []
    while sum(passes) < STEP_SECONDS:
        passes.append(await step())
    return min(passes)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure())))
