"""Records of one id are compared with what is stored together, as if one after the other."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from app.couchdb import BulkWriter, comparison, conflicts
from app.dead_letters import DeadLetters
from app.monitoring.outcomes import Outcomes
from app.settings import GuardSettings, StoreBreakerSettings, WorkerSettings
from app.storing.breaker import StoreBreaker
from app.storing.guard import Guard
from app.storing.sink import COMPLETED, DUPLICATE, STORED, Document, Outcome, Refused, SinkStopped
from app.storing.step import StoringStep
from models.dead_letter import DeadLetter
from models.reasons import RejectReason
from tests.fakes.couchdb import FakeCouchDB, holds
from tests.fakes.time import until
from tests.support import Event, Producer, chunk

DIVERGENT = Refused(RejectReason.DIVERGENT, "differs from the stored document in: n", proven=True)
LOGS = Refused(RejectReason.DIVERGENT, "differs from the stored document in: logs", proven=True)


def document(id_: str, n: int = 1, logs: Sequence[str] = ("a line",)) -> Document:
    fields = {"_id": id_, "updated": 1, "n": n, "logs": list(logs)}
    return Document(id_, json.dumps(fields).encode())


async def test_many_are_compared_by_reading_what_is_stored_once(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write([document("a"), document("b")])
    given = [document("a", n % 3) for n in range(30)] + [document("b"), document("c")]
    outcomes = await writer.compare(given)
    assert outcomes == [DUPLICATE if n % 3 == 1 else DIVERGENT for n in range(30)] + [
        DUPLICATE,
        None,
    ]
    assert [sorted(ids) for ids in couchdb.read_backs] == [["a", "b", "c"]]
    assert len(couchdb.bulk_requests) == 1
    assert "c" not in couchdb.databases["activations"]


async def test_what_is_stored_is_decoded_once_for_all_that_are_compared_with_it(
    writer: BulkWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoded for each, one of megabytes had held everything up for minutes."""
    await writer.write([document("a"), document("b")])
    decode, decoded = json.JSONDecoder().decode, list[str]()

    def count(text: str) -> Any:
        decoded.append(text)
        return decode(text)

    monkeypatch.setattr(comparison, "_decode", count)
    await writer.compare([document(id_, n) for id_ in "ab" for n in range(10)])
    assert len([text for text in decoded if '"_rev"' in text]) == 2
    assert len(decoded) == 22


LARGE = [document(id_, logs=["x" * 700]) for id_ in "abcd"]
"""Of which two are an answer that is not too large for `few_together`."""


@pytest.fixture
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "_TOGETHER", 2000)


@pytest.mark.usefixtures("few_together")
async def test_large_documents_are_read_a_part_at_a_time(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    """Small records may conflict with a gigabyte of them."""
    await writer.write(LARGE)
    parts = [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]
    small = [document(one.id, 2) for one in LARGE]
    results = await writer.write(small)
    assert all(isinstance(one, Refused) and one.reason is DIVERGENT.reason for one in results)
    assert couchdb.read_backs == parts
    assert await writer.compare([*small, *LARGE]) == [*results, *[DUPLICATE] * 4]
    assert couchdb.read_backs == parts * 2


@pytest.mark.usefixtures("few_together")
async def test_what_was_read_is_settled_although_the_rest_cannot_be_read(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write(LARGE)
    couchdb.bulk_requests.clear()

    def answered(status: str, _: float) -> None:
        if status == "answer-too-large":
            couchdb.unreadable.add("d")
        if status == "500":
            couchdb.unreadable.clear()

    writer.requests.on_request = answered
    assert await writer.compare(LARGE) == [DUPLICATE, DUPLICATE, None, None]
    assert await writer.write(LARGE) == [DUPLICATE] * 4
    assert sorted(id_ for ids in couchdb.bulk_requests[1:] for id_ in ids) == ["c", "d"]


async def test_what_has_the_logs_that_are_missing_and_all_behind_it_are_left(
    writer: BulkWriter,
) -> None:
    await writer.write([document("a", logs=()), document("b")])
    given = [
        document("a", logs=()),
        document("a", 2),
        document("a"),
        document("a", logs=["other"]),
        document("a", 2),
        document("b", logs=()),
        document("b", logs=["other"]),
    ]
    both = Refused(RejectReason.DIVERGENT, "differs from the stored document in: logs, n")
    assert await writer.compare(given) == [DUPLICATE, both, None, None, None, DUPLICATE, LOGS]


async def test_what_cannot_be_read_is_left(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    await writer.write([document("a")])
    couchdb.unreadable.add("a")
    assert await writer.compare([document("a"), document("a", 2)]) == [None, None]


async def test_a_writer_that_was_stopped_compares_nothing(writer: BulkWriter) -> None:
    await writer.stop()
    with pytest.raises(SinkStopped):
        await writer.compare([document("a")])


async def test_a_writer_that_is_stopped_while_it_compares_says_so(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write([document("a")])
    couchdb.faults.append(holds(asyncio.Event()))
    comparing = asyncio.create_task(writer.compare([document("a")]))
    await until(lambda: bool(writer.in_flight))
    await writer.stop()
    with pytest.raises(SinkStopped):
        await asyncio.wait_for(comparing, 20)


async def test_what_is_compared_keeps_the_writer_busy_and_is_counted_apart(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write([document("a")])
    answered = asyncio.Event()
    couchdb.faults.append(holds(answered))
    comparing = asyncio.create_task(
        writer.compare([document("a"), document("a", 2), document("b")])
    )
    await until(lambda: bool(writer.in_flight))
    assert writer.busy
    answered.set()
    await comparing
    assert not writer.busy
    assert (writer.stats.compared, writer.stats.conflicts_read_back) == (2, 0)


class Bench:
    """The storing step in front of a writer."""

    def __init__(self, writer: BulkWriter, *, remembered: int) -> None:
        table: dict[str, bytes] = {}
        guard = Guard(
            table,
            GuardSettings(PERSISTER_GUARD_RECORDS=remembered),
            clock=lambda: 1000.0,
            forget=table.__delitem__,
        )
        guard.assign([0])
        self.producer = Producer()
        self.outcomes = Outcomes()
        self.step = StoringStep(
            guard,
            writer,
            DeadLetters(cast("Any", self.producer), "letters"),
            self.outcomes,
            WorkerSettings(),
            breaker=StoreBreaker(StoreBreakerSettings()),
        )

    async def store(self, chunks: Sequence[Sequence[Document]]) -> None:
        events, offset = [], 0
        for documents in chunks:
            events.append(Event(chunk(*(one.body for one in documents), first_offset=offset)))
            offset += len(documents)
            await self.step.submit(cast("Any", events[-1]))
        await asyncio.wait_for(asyncio.gather(*(event.acked.wait() for event in events)), 20)

    def set_aside(self) -> list[int]:
        """The offsets of all that is in the dead letters."""
        sent = self.producer.sent.get("letters", [])
        letters = [DeadLetter.from_record(one.key, one.value, one.headers) for one in sent]
        return sorted(letter.offset for letter in letters)

    def reasons(self) -> Counter[str]:
        """How many had each outcome, whoever found the duplicates."""
        found: Counter[str] = Counter()
        for key, count in self.outcomes.counts.items():
            by_logs = key.reason == "completed by logs"
            found[key.reason if by_logs else key.outcome.value] += count
        return found


@pytest.fixture
async def bench(writer: BulkWriter) -> AsyncIterator[Callable[..., Any]]:
    made: list[Bench] = []

    async def make(*, remembered: int = 1000) -> Bench:
        made.append(Bench(writer, remembered=remembered))
        await made[-1].step.start()
        return made[-1]

    yield make
    for one in made:
        await one.step.stop()


async def test_a_thousand_variants_of_an_id_are_a_few_requests(
    bench: Callable[..., Any], couchdb: FakeCouchDB
) -> None:
    one: Bench = await bench()
    id_ = "guest/" + "a" * 32
    await one.store([[document(id_, n) for n in range(at, at + 250)] for at in range(0, 1000, 250)])
    assert len(couchdb.bulk_requests) == 4
    assert len(couchdb.read_backs) == 7
    assert one.set_aside() == list(range(1, 1000))
    assert couchdb.databases["activations"][id_].content["n"] == 0


def one_by_one(documents: Sequence[Document]) -> tuple[dict[str, Any], list[Outcome]]:
    """What is stored at the end, and the outcome of each, by the rules alone."""
    stored: dict[str, Any] = {}
    outcomes: list[Outcome] = []
    known: set[bytes] = set()
    for one in documents:
        record = json.loads(one.body)
        there = stored.setdefault(one.id, record)
        same = {**record, "logs": []} == {**there, "logs": []}
        outcome: Outcome = DIVERGENT
        if there is record:
            outcome = STORED
        elif record == there or (same and not record["logs"]) or one.body in known:
            outcome = DUPLICATE
        elif same and not there["logs"]:
            outcome, stored[one.id] = COMPLETED, record
        if not isinstance(outcome, Refused):
            known.add(one.body)
        outcomes.append(outcome)
    return stored, outcomes


@pytest.mark.parametrize("remembered", [0, 1000])
@pytest.mark.parametrize("seed", range(6))
async def test_the_end_is_that_of_one_after_the_other(
    bench: Callable[..., Any], couchdb: FakeCouchDB, seed: int, remembered: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    given = [
        document(
            f"guest/{chance.choice('abc') * 32}",
            chance.choice([1, 1, 1, 2]),
            chance.choice([[], [], ["x"], ["y"]]),
        )
        for _ in range(60)
    ]
    ends = sorted({len(given), *(chance.randrange(1, len(given)) for _ in range(6))})
    chunks = [given[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    one: Bench = await bench(remembered=remembered)
    await one.store(chunks)
    stored, outcomes = one_by_one(given)
    database = couchdb.databases["activations"]
    assert {id_: database[id_].content for id_ in stored} == stored
    divergent = [at for at, found in enumerate(outcomes) if isinstance(found, Refused)]
    assert one.set_aside() == divergent
    assert one.reasons() == Counter(
        {
            "stored": outcomes.count(STORED),
            "completed by logs": outcomes.count(COMPLETED),
            "duplicate": outcomes.count(DUPLICATE),
            "dead-lettered": len(divergent),
        }
    )
