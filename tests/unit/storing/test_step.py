"""From a chunk to the database, each document once; acknowledged after everything."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import pytest

from app.dead_letters import DeadLetters
from app.kafka.producer import Outgoing
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.process import turn
from app.process.errors import StartError
from app.settings import GuardSettings, StoreBreakerSettings, WorkerSettings
from app.storing import in_order
from app.storing.breaker import StoreBreaker
from app.storing.guard import Guard, identify
from app.storing.in_order import FEW
from app.storing.sink import Document, Parked, Refused, Result, Settled, SinkStopped
from app.storing.sink import Outcome as Ended
from app.storing.step import StoringStep
from models.dead_letter import DeadLetter
from models.reasons import RejectReason
from tests.fakes.time import Time, until
from tests.support import Event, Producer, chunk, longest_turn

LETTERS = "persister-dead-letters"
STORED = Key(Step.STORE, Outcome.STORED)
BY_GUARD = Key(Step.STORE, Outcome.DUPLICATE, "guard")
COMPLETED = Key(Step.STORE, Outcome.DUPLICATE, "completed by logs")
BY_DATABASE = Key(Step.STORE, Outcome.DUPLICATE, "database")


def dead_lettered(reason: RejectReason) -> Key:
    return Key(Step.STORE, Outcome.DEAD_LETTERED, reason)


def body(name: str, value: object = "1", updated: int = 0) -> bytes:
    activation = name.encode().hex().zfill(32)
    fields = f'"updated":{updated},"_id":"guest/{activation}","value":{value}'
    return f"{{{fields}}}".encode()


class Writer:
    """A database that settles a request when the test lets it.

    Attributes:
        requests: The documents of each.
        compared: The documents of each request that only reads.
        comparing: What such a request waits for, if anything.
        hold_comparing: The number of the one that waits for `go_on`, from 1.
        waiting: One future for each request that is not answered.
        held: Whether requests wait for `answer`.
        waiting_documents: How many documents of them no request is said to have taken.
        answers: What to say of a document, by its body; without one it is judged by its id.
    """

    identity = b"a database"
    failing = False

    def __init__(self) -> None:
        self.requests: list[list[Document]] = []
        self.compared: list[list[Document]] = []
        self.comparing: asyncio.Future[None] | None = None
        self.hold_comparing = 0
        self.go_on = asyncio.Event()
        self.waiting: list[asyncio.Future[None]] = []
        self.held = False
        self.waiting_documents = 0
        self._taken = asyncio.Event()
        self.there = asyncio.Event()
        self.there.set()
        self.answers: dict[bytes, Result] = {}
        self.error: Exception | None = None
        self.verdict: Ended = Refused(RejectReason.DIVERGENT, "value differs")
        """On a document that differs from the first one of its id."""
        self._bodies: dict[str, bytes] = {}

    async def found(self) -> None:
        await self.there.wait()

    async def next_change(self) -> None:
        await self._taken.wait()
        self._taken.clear()

    def take(self, documents: int) -> None:
        self.waiting_documents -= documents
        self._taken.set()

    async def write(self, documents: Sequence[Document]) -> list[Result]:
        self.requests.append(list(documents))
        if self.held:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]
        if self.error is not None:
            raise self.error
        return [self.answers.get(one.body) or self._judge(one) for one in documents]

    async def compare(self, documents: Sequence[Document]) -> list[Ended | None]:
        self.compared.append(list(documents))
        if len(self.compared) == self.hold_comparing:
            await self.go_on.wait()
        if self.comparing is not None:
            await self.comparing
        outcomes: list[Ended | None] = []
        left: set[str] = set()
        for one in documents:
            found = None if one.id in left or one.id not in self._bodies else self._found(one)
            left |= {one.id} if found is None else set()
            outcomes.append(found)
        return outcomes

    def _found(self, document: Document) -> Ended | None:
        answer = self.answers.get(document.body)
        if answer is not None:  # it can be known only by writing
            return None
        same = self._bodies[document.id] == document.body
        return Settled.DUPLICATE if same else self.verdict

    def _judge(self, document: Document) -> Result:
        stored = self._bodies.setdefault(document.id, document.body)
        if stored is document.body:
            return Settled.STORED
        if stored == document.body:
            return Settled.DUPLICATE
        return self.verdict

    def answer(self, number: int) -> None:
        self.waiting[number].set_result(None)

    def keep(self, value: bytes) -> None:
        """Have this document, as if it had been written."""
        self._bodies[identify(value)[0]] = value

    def bodies(self) -> list[list[bytes]]:
        return [[one.body for one in documents] for documents in self.requests]

    def read(self) -> list[list[bytes]]:
        return [[one.body for one in documents] for documents in self.compared]


class Bench:
    """The storing step and what surrounds it."""

    def __init__(
        self, *, remembered: int = 1000, paced: int | None = None, **settings: Any
    ) -> None:
        self.time = Time()
        self.table: dict[str, bytes] = {}
        self.guard = Guard(
            self.table,
            GuardSettings(PERSISTER_GUARD_RECORDS=remembered),
            clock=lambda: 1000.0,
            forget=self.table.__delitem__,
        )
        self.guard.assign([0, 1])
        self.writer = Writer()
        self.producer = Producer()
        self.outcomes = Outcomes()
        self.step = StoringStep(
            self.guard,
            self.writer,
            DeadLetters(cast("Any", self.producer), LETTERS),
            self.outcomes,
            WorkerSettings(**settings),
            breaker=StoreBreaker(
                StoreBreakerSettings(), clock=self.time.clock, sleep=self.time.sleep
            ),
            paced=paced,
        )

    async def submit(self, *values: bytes | None, first_offset: int = 0) -> Event:
        event = Event(chunk(*values, first_offset=first_offset))
        await self.step.submit(event)
        return event

    async def store(self, *values: bytes | None, first_offset: int = 0) -> None:
        """Submit and wait until it is acknowledged."""
        event = await self.submit(*values, first_offset=first_offset)
        await asyncio.wait_for(event.acked.wait(), 20)

    def has_waiting(self, requests: int) -> bool:
        """Whether so many requests were sent that the test answers."""
        return len(self.writer.waiting) == requests

    def letters(self) -> list[DeadLetter]:
        return [
            DeadLetter.from_record(one.key, one.value, one.headers)
            for one in self.producer.sent.get(LETTERS, [])
        ]


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a bench; everything is stopped afterwards."""
    benches: list[Bench] = []

    async def make(**settings: Any) -> Bench:
        benches.append(Bench(**settings))
        await benches[-1].step.start()
        return benches[-1]

    yield make
    for bench in benches:
        await bench.step.stop()


@pytest.fixture
def none_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are behind a stored document are compared with it."""
    monkeypatch.setattr(in_order, "FEW", 0)


async def test_what_comes_before_the_database_is_found_is_judged_by_what_is_known_of_it(
    start: Start,
) -> None:
    bench: Bench = await start()
    await bench.store(body("a"))
    identity = bench.writer.identity
    bench.writer.there.clear()
    untyped: Any = bench.writer
    untyped.identity = None
    event = await bench.submit(body("a"), body("b"), first_offset=1)
    await asyncio.sleep(0)
    untyped.identity = identity
    bench.writer.there.set()
    await asyncio.wait_for(event.acked.wait(), 20)
    assert bench.writer.bodies() == [[body("a")], [body("b")]]
    assert sum(bench.guard.remembered().values()) == 2


async def test_each_of_many_records_of_an_id_is_looked_at_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each of ten thousand, all others were looked at again: that took ten seconds."""
    bench = await start()
    bench.writer.verdict = Refused(RejectReason.DIVERGENT, "value differs", proven=True)
    looked = 0
    known: Callable[[int, Sequence[bytes]], set[bytes]] = bench.guard.known

    def count(partition: int, digests: Sequence[bytes]) -> set[bytes]:
        nonlocal looked
        looked += len(digests)
        return known(partition, digests)

    monkeypatch.setattr(bench.guard, "known", count)
    await bench.store(*(body("a", number) for number in range(300)), body("b"), body("a", 0))
    assert looked == 302
    assert bench.writer.bodies() == [[body("a", 0), body("b")]]
    assert bench.outcomes.counts == Counter(
        {STORED: 2, dead_lettered(RejectReason.DIVERGENT): 299, BY_GUARD: 1}
    )
    assert (bench.step.documents_in_flight, bench.step.bytes_in_flight) == (0, 0)


async def test_documents_of_a_chunk_are_written_in_one_request_and_remembered(
    start: Start,
) -> None:
    bench = await start()
    await bench.store(body("a"), body("b"))
    assert bench.writer.bodies() == [[body("a"), body("b")]]
    assert bench.outcomes.counts == Counter({STORED: 2})
    assert bench.guard.remembered()[0] == 2


async def test_very_many_records_keep_nobody_else_from_a_turn(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "SECONDS", 0.0)
    bench = await start()
    storing = asyncio.create_task(bench.store(*[b"junk"] * 500))
    turns = 0
    while not storing.done():
        await asyncio.sleep(0)
        turns += 1
    await storing
    assert turns > 500
    assert len(bench.letters()) == 500


async def test_a_large_document_is_identified_while_everything_else_goes_on(start: Start) -> None:
    bench = await start()
    large = body("a").replace(b"{", b'{"more":{"_":0},' + b'"\\n":0,' * 400_000, 1)
    storing = asyncio.create_task(bench.store(large, body("b")))
    assert await longest_turn(storing) < 0.2
    await storing
    assert bench.writer.bodies() == [[large, body("b")]]


async def test_what_the_guard_has_seen_is_not_written(start: Start) -> None:
    bench = await start()
    await bench.store(body("a"))
    await bench.store(body("a", updated=7), body("b"), first_offset=1)
    assert bench.writer.bodies() == [[body("a")], [body("b")]]
    assert bench.outcomes.counts == Counter({STORED: 2, BY_GUARD: 1})


async def test_the_same_record_twice_in_a_chunk_is_one_write(start: Start) -> None:
    bench = await start()
    await bench.store(body("a"), body("b"), body("a", updated=7))
    assert bench.writer.bodies() == [[body("a"), body("b")]]
    assert bench.outcomes.counts == Counter({STORED: 2, BY_GUARD: 1})


async def test_the_same_record_in_two_chunks_at_once_is_one_write(start: Start) -> None:
    bench = await start()
    bench.writer.held = True
    first = await bench.submit(body("a"))
    second = await bench.submit(body("a"), body("b"), first_offset=1)
    await until(lambda: len(bench.writer.waiting) == 2)
    bench.writer.answer(1)
    await until(lambda: bench.guard.remembered()[0] == 1)
    assert not second.acked.is_set()
    bench.writer.answer(0)
    await asyncio.wait_for(second.acked.wait(), 20)
    await asyncio.wait_for(first.acked.wait(), 20)
    assert bench.writer.bodies() == [[body("a")], [body("b")]]
    assert bench.outcomes.counts == Counter({STORED: 2, BY_GUARD: 1})


async def test_other_content_under_an_id_waits_for_the_first_and_is_then_asked_for(
    start: Start,
) -> None:
    bench = await start()
    bench.writer.held = True
    first = await bench.submit(body("a", 1))
    second = await bench.submit(body("a", 2), first_offset=1)
    await until(lambda: bench.writer.waiting)
    assert bench.writer.bodies() == [[body("a", 1)]]
    bench.writer.answer(0)
    await until(lambda: len(bench.writer.waiting) == 2)
    assert first.acked.is_set()
    assert not second.acked.is_set()
    bench.writer.answer(1)
    await asyncio.wait_for(second.acked.wait(), 20)
    assert bench.writer.bodies() == [[body("a", 1)], [body("a", 2)]]
    assert bench.outcomes.counts == Counter({STORED: 1, dead_lettered(RejectReason.DIVERGENT): 1})
    (letter,) = bench.letters()
    assert (letter.offset, letter.value) == (1, body("a", 2))


async def test_a_small_document_does_not_overtake_a_large_one_of_the_same_id(start: Start) -> None:
    bench = await start()
    large = body("a", '"' + "x" * 1_000_000 + '"')
    first = await bench.submit(large, body("b"))
    second = await bench.submit(body("a"), first_offset=2)
    await asyncio.wait_for(asyncio.gather(first.acked.wait(), second.acked.wait()), 20)
    assert bench.writer.bodies() == [[large, body("b")], [body("a")]]
    (letter,) = bench.letters()
    assert (letter.reason, letter.offset) == (RejectReason.DIVERGENT, 2)


async def test_chunks_of_other_partitions_do_not_wait_for_a_large_document(start: Start) -> None:
    bench = await start()
    large = body("a", '"' + "x" * 1_000_000 + '"')
    await bench.submit(large)
    other = Event(chunk(body("b"), partition=1))
    await bench.step.submit(other)
    await asyncio.wait_for(other.acked.wait(), 20)
    assert bench.writer.bodies()[0] == [body("b")]


async def test_what_waits_for_an_id_keeps_its_place_while_its_chunk_is_busy(start: Start) -> None:
    bench = await start()
    bench.writer.held = True
    events = [
        await bench.submit(body("a", 1)),
        await bench.submit(body("a", 2), body("b"), first_offset=1),
        await bench.submit(body("a", 3), first_offset=3),
    ]
    await until(lambda: len(bench.writer.waiting) == 2)
    bench.writer.answer(0)
    await asyncio.wait_for(events[0].acked.wait(), 20)
    bench.writer.answer(1)
    for number in (2, 3):
        await until(lambda number=number: len(bench.writer.waiting) == number + 1)  # type: ignore[misc]
        bench.writer.answer(number)
    await asyncio.wait_for(asyncio.gather(*(event.acked.wait() for event in events)), 20)
    written = [[body("a", 1)], [body("b")], [body("a", 2)], [body("a", 3)]]
    assert bench.writer.bodies() == written


async def test_a_few_behind_a_stored_document_are_written_with_those_of_other_chunks(
    start: Start,
) -> None:
    """Compared, they were a request of each chunk: OpenWhisk may send two of every id."""
    bench = await start()
    bench.writer.held = True
    events = [
        await bench.submit(*(body(name, n) for n in range(1 + FEW)), first_offset=first)
        for first, name in ((0, "a"), (10, "b"))
    ]
    for answered in range(0, 2 * (1 + FEW), 2):
        await until(partial(bench.has_waiting, answered + 2))
        bench.writer.answer(answered)
        bench.writer.answer(answered + 1)
    await asyncio.wait_for(asyncio.gather(*(event.acked.wait() for event in events)), 20)
    assert bench.writer.bodies() == [[body(name, n)] for n in range(1 + FEW) for name in "ab"]
    assert bench.writer.read() == []


@pytest.mark.usefixtures("none_are_few")
async def test_what_is_behind_a_stored_document_is_compared_with_it_in_one_request(
    start: Start,
) -> None:
    """Each variant was a request of its own: with thousands, the room of all others was taken."""
    bench = await start()
    await bench.store(*(body("a", n) for n in (1, 2, 3, 1, 2)), body("b", 1), body("b", 2))
    assert bench.writer.bodies() == [[body("a", 1), body("b", 1)]]
    assert bench.writer.read() == [[body("a", 2), body("a", 3), body("a", 2), body("b", 2)]]
    assert bench.outcomes.counts == Counter(
        {STORED: 2, BY_GUARD: 1, dead_lettered(RejectReason.DIVERGENT): 4}
    )
    assert {letter.offset: letter.value for letter in bench.letters()} == {
        1: body("a", 2),
        2: body("a", 3),
        4: body("a", 2),
        6: body("b", 2),
    }


async def test_very_many_are_compared_in_pieces_and_the_room_of_each_is_given_back(
    start: Start,
) -> None:
    bench = await start()
    bench.writer.hold_comparing = 2
    event = await bench.submit(*(body("a", n) for n in range(1201)), body("b"))
    await until(lambda: len(bench.writer.compared) == 2)
    assert [len(piece) for piece in bench.writer.read()] == [500, 500]
    assert bench.step.documents_in_flight == 701, "the one that they are behind leaves at the end"
    bench.writer.go_on.set()
    await asyncio.wait_for(event.acked.wait(), 20)
    assert [value for piece in bench.writer.read() for value in piece] == [
        body("a", n) for n in range(1, 1201)
    ]
    assert bench.writer.bodies() == [[body("a", 0), body("b")]]
    assert bench.step.documents_in_flight == bench.step.bytes_in_flight == 0


async def test_what_is_set_aside_is_in_the_dead_letters_before_its_room_is_given_back(
    start: Start,
) -> None:
    """Its chunk may wait for long, and nothing had counted the bytes of its dead letters."""
    bench = await start()
    parked: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    bench.writer.answers[body("slow")] = Parked(parked)
    event = await bench.submit(body("slow"), b"no JSON", body("a"), body("a", 2))
    await until(lambda: bench.step.documents_in_flight == 1)
    assert [letter.offset for letter in bench.letters()] == [1, 3]
    parked.set_result(Refused(RejectReason.REFUSED, "forbidden: no"))
    await asyncio.wait_for(event.acked.wait(), 20)
    assert [letter.offset for letter in bench.letters()] == [1, 3, 0]
    assert bench.outcomes.counts == Counter(
        {
            STORED: 1,
            dead_lettered(RejectReason.NOT_JSON): 1,
            dead_lettered(RejectReason.DIVERGENT): 1,
            dead_lettered(RejectReason.REFUSED): 1,
        }
    )


async def test_dead_letters_that_kafka_does_not_take_keep_their_room(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench: Bench = await start()
    taking, send = asyncio.Event(), bench.producer.send

    async def later(topic: str, records: Iterable[Outgoing]) -> list[Outgoing]:
        await taking.wait()
        return await send(topic, records)

    monkeypatch.setattr(bench.producer, "send", later)
    event = await bench.submit(*(body("a", n) for n in range(1201)))
    await until(lambda: bench.writer.compared)
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.step.documents_in_flight == 1201
    taking.set()
    await asyncio.wait_for(event.acked.wait(), 20)
    assert [letter.offset for letter in bench.letters()] == list(range(1, 1201))
    assert bench.step.documents_in_flight == bench.step.bytes_in_flight == 0


async def test_dead_letters_that_wait_undo_no_count_of_others(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench: Bench = await start()
    bench.producer.too_large = {b"large"}
    taking, send = asyncio.Event(), bench.producer.send

    async def later(topic: str, records: Sequence[Outgoing]) -> list[Outgoing]:
        if records[0].value == b"slow":
            await taking.wait()
        return await send(topic, records)

    monkeypatch.setattr(bench.producer, "send", later)
    slow = await bench.submit(b"slow")
    await bench.store(b"large", first_offset=1)
    assert bench.outcomes.shortened == 1
    taking.set()
    await asyncio.wait_for(slow.acked.wait(), 20)
    assert bench.outcomes.shortened == 1


async def test_what_comes_in_later_pieces_behind_one_that_is_to_be_written_waits_for_it(
    start: Start,
) -> None:
    bench = await start()
    bench.writer.answers[body("a", 3)] = Settled.COMPLETED
    await bench.store(*(body("a", n) for n in range(600)), *(body("b", n) for n in range(600)))
    assert bench.writer.bodies() == [[body("a", 0), body("b", 0)], [body("a", 3)]]
    read = [value for piece in bench.writer.read() for value in piece]
    behind = [body("a", n) for n in range(4, 600)]
    assert [value for value in read if value not in behind] == [
        *(body("a", n) for n in range(1, 4)),
        *(body("b", n) for n in range(1, 600)),
    ]
    assert read[-len(behind) :] == behind
    assert [letter.offset for letter in bench.letters()] == [
        *range(1, 3),
        *range(601, 1200),
        *range(4, 600),
    ]


@pytest.mark.usefixtures("none_are_few")
async def test_in_each_chunk_the_first_of_an_id_is_written_and_the_others_are_compared(
    start: Start,
) -> None:
    bench = await start()
    bench.writer.held = True
    events = [
        await bench.submit(*(body("a", n) for n in range(first, first + 3)), first_offset=first)
        for first in (0, 3)
    ]
    await until(lambda: len(bench.writer.waiting) == 1)
    bench.writer.answer(0)
    await until(lambda: len(bench.writer.waiting) == 2)
    assert events[0].acked.is_set()
    bench.writer.answer(1)
    await asyncio.wait_for(events[1].acked.wait(), 20)
    assert bench.writer.bodies() == [[body("a", 0)], [body("a", 3)]]
    assert bench.writer.read() == [[body("a", n) for n in (1, 2)], [body("a", n) for n in (4, 5)]]


@pytest.mark.usefixtures("none_are_few")
async def test_another_chunk_waits_while_those_before_it_are_compared(start: Start) -> None:
    bench = await start()
    bench.writer.held = True
    first = await bench.submit(body("a", 1), body("a", 2), body("b"))
    second = await bench.submit(body("a", 3), first_offset=3)
    third = await bench.submit(body("b", 2), first_offset=4)
    await until(lambda: bool(bench.writer.waiting))
    bench.writer.comparing = asyncio.get_running_loop().create_future()
    bench.writer.answer(0)
    await until(lambda: len(bench.writer.waiting) == 2)
    assert bench.writer.read() == [[body("a", 2)]]
    assert bench.writer.bodies()[1:] == [[body("b", 2)]], "only what is behind others waits"
    bench.writer.comparing.set_result(None)
    await until(lambda: len(bench.writer.waiting) == 3)
    for number in (1, 2):
        bench.writer.answer(number)
    await asyncio.wait_for(asyncio.gather(*(e.acked.wait() for e in (first, second, third))), 20)
    assert bench.writer.bodies()[2] == [body("a", 3)]


@pytest.mark.usefixtures("none_are_few")
async def test_what_is_behind_a_record_with_logs_is_compared_after_that_is_written(
    start: Start,
) -> None:
    bench = await start()
    bench.writer.answers[body("a", 3)] = Settled.COMPLETED
    await bench.store(*(body("a", n) for n in range(1, 6)))
    assert bench.writer.bodies() == [[body("a", 1)], [body("a", 3)]]
    assert bench.writer.read() == [
        [body("a", n) for n in (2, 3, 4, 5)],
        [body("a", n) for n in (4, 5)],
    ]
    assert bench.outcomes.counts == Counter(
        {STORED: 1, COMPLETED: 1, dead_lettered(RejectReason.DIVERGENT): 3}
    )
    assert [letter.offset for letter in bench.letters()] == [1, 3, 4]


@pytest.mark.usefixtures("none_are_few")
@pytest.mark.parametrize("end", [Settled.STORED, Refused(RejectReason.REFUSED, "forbidden: no")])
async def test_what_is_behind_a_document_under_diagnosis_waits_for_its_end(
    start: Start, end: Ended
) -> None:
    bench = await start()
    parked: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    bench.writer.answers[body("a", 1)] = Parked(parked)
    event = await bench.submit(*(body("a", n) for n in (1, 2, 3)), body("b"))
    await until(lambda: bench.step.documents_in_flight == 3)
    assert bench.writer.bodies() == [[body("a", 1), body("b")]]
    assert bench.writer.read() == []
    if end is Settled.STORED:
        bench.writer.keep(body("a", 1))
    parked.set_result(end)
    await asyncio.wait_for(event.acked.wait(), 20)
    if end is Settled.STORED:
        assert bench.writer.bodies()[1:] == []
        assert bench.writer.read() == [[body("a", 2), body("a", 3)]]
    else:
        assert bench.writer.bodies()[1:] == [[body("a", 2)]], "now this is the first"
        assert bench.writer.read() == [[body("a", 3)]]


@pytest.mark.usefixtures("none_are_few")
async def test_what_is_behind_a_document_that_is_held_waits(start: Start) -> None:
    bench = await start()
    values = [body(f"r{number}") for number in range(1000)]
    refused = Refused(RejectReason.REFUSED, "forbidden: read-only")
    bench.writer.answers = dict.fromkeys(values, refused)
    event = await bench.submit(*values, body("r0", 2), body("r0", 3))
    await until(bench.step.breaker.reasons)
    assert bench.writer.read() == []
    bench.writer.answers.clear()
    await asyncio.wait_for(event.acked.wait(), 20)
    assert bench.writer.read() == [[body("r0", 2), body("r0", 3)]]
    assert [letter.offset for letter in bench.letters()] == [1000, 1001]


@pytest.mark.usefixtures("none_are_few")
async def test_what_was_compared_while_the_database_was_replaced_is_not_remembered(
    start: Start,
) -> None:
    bench = await start()
    bench.writer.held = True
    bench.writer.verdict = Settled.DUPLICATE
    event = await bench.submit(body("a", 1), body("a", 2))
    await until(lambda: bool(bench.writer.waiting))
    bench.writer.comparing = asyncio.get_running_loop().create_future()
    bench.writer.answer(0)
    await until(bench.writer.read)
    untyped: Any = bench.writer
    untyped.identity = b"another"
    bench.writer.comparing.set_result(None)
    await asyncio.wait_for(event.acked.wait(), 20)
    bench.writer.held = False
    await bench.store(body("a", 2), first_offset=2)
    assert bench.writer.bodies() == [[body("a", 1)], [body("a", 2)]]


async def test_a_refused_document_is_set_aside_and_not_remembered(start: Start) -> None:
    bench = await start()
    bench.writer.answers[body("a")] = Refused(RejectReason.REFUSED, "forbidden: by the operator")
    await bench.store(body("a"), body("b"))
    (letter,) = bench.letters()
    assert (letter.reason, letter.detail) == (RejectReason.REFUSED, "forbidden: by the operator")
    assert (letter.topic, letter.offset, letter.value) == ("topic", 0, body("a"))
    assert bench.guard.remembered()[0] == 1
    assert bench.outcomes.counts == Counter({STORED: 1, dead_lettered(RejectReason.REFUSED): 1})


async def test_what_the_database_had_is_a_duplicate_and_remembered(start: Start) -> None:
    bench = await start()
    bench.writer.answers[body("a")] = Settled.DUPLICATE
    await bench.store(body("a"))
    await bench.store(body("a"), first_offset=1)
    assert bench.outcomes.counts == Counter({BY_DATABASE: 1, BY_GUARD: 1})
    assert len(bench.writer.requests) == 1


async def test_without_a_guard_the_database_is_asked_each_time(start: Start) -> None:
    bench = await start(remembered=0)
    await bench.store(body("a"), body("a"))
    assert bench.writer.bodies() == [[body("a")], [body("a")]]
    assert bench.outcomes.consumed[Step.STORE] == 2
    assert bench.table == {}


@pytest.mark.parametrize("value", [None, b"", b"text", b"[]", b"{}", b'{"_id":1}', b"\xff"])
async def test_what_is_no_document_is_set_aside(start: Start, value: bytes | None) -> None:
    bench = await start()
    await bench.store(value, body("a"))
    (letter,) = bench.letters()
    assert (letter.reason, letter.value) == (RejectReason.NOT_JSON, value)
    assert bench.writer.bodies() == [[body("a")]]
    assert bench.outcomes.counts == Counter({STORED: 1, dead_lettered(RejectReason.NOT_JSON): 1})


@pytest.mark.parametrize(
    "document_id,field",
    [
        ("guest/" + "a" * 32, b'"_deleted":true'),
        ("_design/a", b'"views":{}'),
        ("guest/a", b'"x":1'),
    ],
)
async def test_what_no_activation_has_is_set_aside_and_never_sent_to_the_database(
    start: Start, document_id: str, field: bytes
) -> None:
    bench = await start()
    value = b'{"_id":"%b",%b}' % (document_id.encode(), field)
    await bench.store(value, body("a"))
    (letter,) = bench.letters()
    assert (letter.reason, letter.value) == (RejectReason.REFUSED, value)
    assert "_" in letter.detail
    assert bench.writer.bodies() == [[body("a")]]


async def test_a_chunk_without_a_document_to_write_needs_no_database(start: Start) -> None:
    bench = await start()
    await bench.store(b"text")
    assert bench.writer.requests == []


async def test_nothing_is_acknowledged_before_the_dead_letters_are(start: Start) -> None:
    bench = await start()
    bench.producer.error = RuntimeError("Kafka refuses")
    event = await bench.submit(b"text", body("a"))
    await until(lambda: bench.step.crashed)
    assert not event.acked.is_set()
    assert bench.outcomes.consumed[Step.STORE] == 0


async def test_a_writer_that_fails_is_a_crash_and_no_acknowledgement(start: Start) -> None:
    bench = await start()
    bench.writer.held = True
    event = await bench.submit(body("a"))
    waiting = await bench.submit(body("a"), first_offset=1)
    await until(lambda: bench.writer.waiting)
    bench.writer.error = RuntimeError("a defect")
    bench.writer.answer(0)
    await until(lambda: bench.step.crashed)
    assert not event.acked.is_set()
    assert not waiting.acked.is_set()
    assert bench.outcomes.counts == Counter({})
    assert bench.guard.remembered()[0] == 0


@pytest.mark.parametrize("ending", [True, False])
async def test_a_writer_that_stops_is_a_crash_only_while_the_worker_does_not_end(
    start: Start,
    ending: bool,  # noqa: FBT001 - of the list above
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = await start()
    bench.writer.held = True
    event = await bench.submit(body("a"))
    await until(lambda: bench.writer.waiting)
    bench.writer.error = SinkStopped("the writer was stopped")
    if ending:
        bench.step._crash(StartError("Kafka refuses records"))
    bench.writer.answer(0)
    await until(lambda: len(bench.step._futures) == 1)  # which looks for room
    assert not event.acked.is_set()
    assert ("SinkStopped" in caplog.text) is not ending


async def test_outcomes_that_do_not_add_up_are_a_crash(start: Start) -> None:
    bench = await start()
    bench.writer.answers[body("a")] = cast("Result", "neither stored nor refused")
    event = await bench.submit(body("a"))
    await until(lambda: bench.step.crashed)
    assert not event.acked.is_set()


@pytest.mark.parametrize(
    "bound", [{"in_flight_documents": 3}, {"in_flight_bytes": 1500}], ids=["documents", "bytes"]
)
async def test_what_is_in_flight_is_bounded(start: Start, bound: dict[str, int]) -> None:
    bench = await start(**bound)
    bench.writer.held = True
    large = '"' + "x" * 600 + '"'
    await bench.submit(body("a", large), body("b", large))
    await bench.submit(body("c", large), first_offset=2)
    third = asyncio.create_task(bench.submit(body("d", large), first_offset=3))
    await until(lambda: len(bench.writer.waiting) == 2)
    assert not third.done()
    in_flight = bench.step.documents_in_flight
    bench.writer.answer(0)
    event = await asyncio.wait_for(third, 20)
    assert bench.step.documents_in_flight < in_flight
    for waiting in bench.writer.waiting[1:]:
        waiting.set_result(None)
    bench.writer.held = False
    await asyncio.wait_for(event.acked.wait(), 20)
    await until(lambda: bench.step.documents_in_flight == 0)
    assert bench.step.bytes_in_flight == 0


async def test_a_turn_that_comes_while_room_is_given_back_is_taken(start: Start) -> None:
    bench = await start()
    bench.writer.held = True
    first = await bench.submit(body("a"))
    await until(lambda: bool(bench.writer.waiting))
    second = await bench.submit(body("a"), first_offset=1)
    async with bench.step._room:
        await until(lambda: second.value.records == ())  # nothing is left but to give back room
        bench.writer.answer(0)
        await asyncio.wait_for(first.acked.wait(), 20)
    await asyncio.wait_for(second.acked.wait(), 20)
    assert bench.outcomes.counts == Counter({STORED: 1, BY_GUARD: 1})


@pytest.mark.parametrize("paced, most", [(1, 5), (2, 10)])
async def test_no_more_waits_for_a_request_than_is_stored_in_seconds(
    start: Start, paced: int, most: int
) -> None:
    bench = await start(paced=paced)
    bench.writer.held = True
    bench.writer.waiting_documents = most - 1
    first = await bench.submit(body("first"))
    second = asyncio.create_task(bench.submit(body("second"), first_offset=1))
    await until(lambda: bool(bench.writer.waiting))
    await asyncio.wait_for(second, 20)  # the first one has been offered to the sink
    bench.writer.waiting_documents += 1
    third = asyncio.create_task(bench.submit(body("third"), first_offset=2))
    await until(lambda: len(bench.writer.waiting) == 2)
    assert not third.done()
    bench.writer.take(1)
    await asyncio.wait_for(third, 20)
    assert not first.acked.is_set(), "what a request has is no longer in the way"
    await until(lambda: len(bench.writer.waiting) == 3)
    for number in range(3):
        bench.writer.answer(number)
    await until(lambda: bench.step.documents_in_flight == 0)


async def test_what_is_on_its_way_to_the_sink_counts_as_waiting(start: Start) -> None:
    bench = await start(paced=1)
    bench.writer.there.clear()
    for number in range(5):
        await bench.submit(body(f"{number}"), first_offset=number)
    further = asyncio.create_task(bench.submit(body("further"), first_offset=5))
    await until(lambda: bool(bench.step._room._waiters))
    assert not further.done()
    bench.writer.there.set()
    await asyncio.wait_for(further, 20)
    await until(lambda: bench.step.documents_in_flight == 0)
    assert bench.step._before_sink == 0


async def test_a_chunk_larger_than_the_bound_is_stored_when_nothing_else_is_in_flight(
    start: Start,
) -> None:
    bench = await start(in_flight_documents=1)
    await bench.store(*(body(str(number)) for number in range(50)))
    assert bench.outcomes.counts == Counter({STORED: 50})


async def test_a_document_under_diagnosis_keeps_nobody_but_its_commit(start: Start) -> None:
    bench = await start(in_flight_documents=4)
    parked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    bench.writer.answers[body("bad")] = Parked(parked)
    event = await bench.submit(body("a"), body("bad"), body("b"))
    await until(lambda: bench.step.documents_in_flight == 1)
    assert event.value.records == ()
    assert bench.guard.remembered()[0] == 2
    await bench.store(body("c"), body("d"), body("e"), first_offset=3)
    assert not event.acked.is_set()
    parked.set_result(Refused(RejectReason.REFUSED, "forbidden: no"))
    await asyncio.wait_for(event.acked.wait(), 20)
    assert bench.outcomes.counts == Counter({STORED: 5, dead_lettered(RejectReason.REFUSED): 1})
    assert bench.step.documents_in_flight == bench.step.bytes_in_flight == 0
    assert [letter.detail for letter in bench.letters()] == ["forbidden: no"]


async def test_a_copy_waits_for_the_diagnosis_of_the_first(start: Start) -> None:
    bench = await start()
    parked: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    bench.writer.answers[body("a")] = Parked(parked)
    first = await bench.submit(body("a"))
    second = await bench.submit(body("a"), first_offset=1)
    await until(lambda: len(bench.writer.requests) == 1)
    parked.set_result(Settled.STORED)
    await asyncio.wait_for(asyncio.gather(first.acked.wait(), second.acked.wait()), 20)
    assert bench.outcomes.counts == Counter({STORED: 1, BY_GUARD: 1})


async def test_a_record_completed_by_its_logs_is_counted_as_such(start: Start) -> None:
    bench = await start()
    bench.writer.answers[body("a")] = Settled.COMPLETED
    await bench.store(body("a"))
    assert bench.outcomes.counts == Counter({COMPLETED: 1})


async def test_the_same_refusal_for_everything_holds_storing_and_loses_nothing(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    bench = await start()
    values = [body(f"r{number}") for number in range(1000)]
    refused = Refused(RejectReason.REFUSED, "forbidden: read-only")
    bench.writer.answers = dict.fromkeys(values, refused)
    before = bench.time.now
    event = await bench.submit(*values)
    await until(bench.step.breaker.reasons)
    assert bench.letters() == []
    assert any("Stopped storing" in message for message in caplog.messages)
    bench.writer.answers.clear()
    await asyncio.wait_for(event.acked.wait(), 20)
    assert bench.time.now - before >= 300
    assert bench.outcomes.counts == Counter({STORED: 1000})
    assert bench.step.breaker.reasons() == {}
    assert bench.letters() == []


async def test_a_document_that_waited_and_is_refused_for_another_reason_ends_the_hold(
    start: Start,
) -> None:
    bench = await start()
    values = [body(f"r{number}") for number in range(1000)]
    refused = Refused(RejectReason.REFUSED, "forbidden: read-only")
    bench.writer.answers = dict.fromkeys(values, refused)
    event = await bench.submit(*values)
    await until(bench.step.breaker.reasons)
    divergent = Refused(RejectReason.DIVERGENT, "differs in: response", proven=True)
    bench.writer.answers = dict.fromkeys(values, divergent)
    await asyncio.wait_for(event.acked.wait(), 20)
    assert bench.outcomes.counts == Counter({dead_lettered(RejectReason.DIVERGENT): 1000})
    assert bench.step.breaker.reasons() == {}
