"""A record that the audit sends again reaches the database, whatever the guard remembers."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from app.dead_letters import DeadLetters
from app.kafka.delivery import Chunk
from app.kafka.producer import BatchProducer, Outgoing
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.routing.breaker import Breakers
from app.routing.step import RoutingStep
from app.settings import (
    BreakerSettings,
    GuardSettings,
    RoutingSettings,
    StoreBreakerSettings,
    WorkerSettings,
)
from app.storing.breaker import StoreBreaker
from app.storing.guard import Guard
from app.storing.sink import Document, Result, Settled
from app.storing.sink import Outcome as Ended
from app.storing.step import StoringStep
from models.dead_letter import ATTEMPTS
from models.repair import REPAIR
from models.roles import TopicRole
from tests.integration.support.records import Records, document, encode, result

NOW = 1_767_325_446_000
DOCUMENTS = "persister-documents"
Headers = Sequence[tuple[str, bytes]]


def chunk(topic: str, *records: tuple[bytes, Headers]) -> Chunk:
    return Chunk(
        TP(topic, 0),
        [
            ConsumerRecord(topic, 0, offset, NOW, 0, None, value, None, 0, len(value), headers)
            for offset, (value, headers) in enumerate(records)
        ],
    )


class Sent:
    """A producer that takes everything."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def send(self, _topic: str, records: Iterable[Outgoing]) -> list[Outgoing]:
        self.records += records
        return []


class Written:
    """A database that has nothing yet, and keeps what was written."""

    identity = b"a database"
    waiting_documents = 0
    failing = False

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self._known: set[str] = set()

    async def next_change(self) -> None:
        await asyncio.Event().wait()

    async def found(self) -> None:
        pass

    async def compare(self, documents: Sequence[Document]) -> list[Ended | None]:
        return [None] * len(documents)

    async def write(self, documents: Sequence[Document]) -> list[Result]:
        self.batches.append([one.body for one in documents])
        await asyncio.sleep(0)
        results: list[Result] = []
        for one in documents:
            results.append(Settled.DUPLICATE if one.id in self._known else Settled.STORED)
            self._known.add(one.id)
        return results


class Event:
    def __init__(self, value: Chunk) -> None:
        self.value = value
        self.acked = asyncio.Event()

    def ack(self) -> bool:
        self.acked.set()
        return True


def dead_letters(producer: Sent) -> DeadLetters:
    return DeadLetters(cast("BatchProducer", producer), "persister-dead-letters")


@pytest.fixture
def stored() -> Written:
    return Written()


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


@pytest.fixture
def step(stored: Written, outcomes: Outcomes) -> StoringStep:
    guard = Guard({}, GuardSettings(), clock=lambda: 1.0, forget=lambda _: None)
    guard.assign([0])
    breaker = StoreBreaker(StoreBreakerSettings())
    return StoringStep(
        guard, stored, dead_letters(Sent()), outcomes, WorkerSettings(), breaker=breaker
    )


async def submit(step: StoringStep, *records: tuple[bytes, Headers]) -> None:
    event = Event(chunk(DOCUMENTS, *records))
    await step.submit(event)
    async with asyncio.timeout(5):
        await event.acked.wait()


async def test_intake_hands_no_header_on_since_anybody_may_have_written_it() -> None:
    producer = Sent()
    step = RoutingStep(
        RoutingSettings(),
        cast("BatchProducer", producer),
        DOCUMENTS,
        dead_letters(producer),
        Outcomes(),
        breakers=Breakers(BreakerSettings()),
    )
    first, second, third = (result(record) for record in Records(1).many(3))
    await step.take(
        chunk(
            "completed0",
            (first, ()),
            (second, [("trace", b"1"), (REPAIR, b""), (ATTEMPTS, b"2")]),
            (third, [("trace", b"2")]),
        ),
        TopicRole.COMPLETED,
    )
    assert [record.headers for record in producer.records] == [[], [], []]


async def test_a_repaired_document_is_written_although_the_guard_has_seen_it(
    step: StoringStep, stored: Written, outcomes: Outcomes
) -> None:
    body = encode(document(Records(2).one(), NOW))
    await submit(step, (body, ()))
    await submit(step, (body, ()))
    assert len(stored.batches) == 1
    await submit(step, (body, [(REPAIR, b"")]))
    assert stored.batches == [[body], [body]]
    assert outcomes.counts == Counter(
        {
            Key(Step.STORE, Outcome.STORED): 1,
            Key(Step.STORE, Outcome.DUPLICATE, "guard"): 1,
            Key(Step.STORE, Outcome.DUPLICATE, "database"): 1,
        }
    )


async def test_two_repairs_of_one_document_in_a_chunk_come_to_an_end(
    step: StoringStep, outcomes: Outcomes
) -> None:
    repair: Any = (encode(document(Records(3).one(), NOW)), [(REPAIR, b"")])
    await submit(step, repair, repair)
    assert outcomes.consumed[Step.STORE] == 2
    assert outcomes.counts[Key(Step.STORE, Outcome.STORED)] == 1
