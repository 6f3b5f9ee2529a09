"""From a chunk of messages to documents in the internal topic; what each outcome is counted as."""

import asyncio
from collections import Counter
from typing import Any, cast

import pytest
from faust.types import TP

from app.dead_letters import DeadLetters
from app.kafka.delivery import Chunk
from app.kafka.unreadable import Unreadable
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.routing import Decision, route
from app.routing.breaker import Breakers
from app.routing.step import RoutingStep
from app.settings import BreakerSettings, RoutingSettings
from models.dead_letter import DeadLetter
from models.reasons import RejectReason, SkipReason
from models.roles import TopicRole
from tests.integration.support.records import INVOKER, Records, document, encode, result
from tests.support import NOW, Producer, chunk, cost, longest_turn

DOCUMENTS, LETTERS = "persister-documents", "persister-dead-letters"


def routed(outcome: Outcome, reason: SkipReason | RejectReason | str = "") -> Key:
    return Key(Step.ROUTE, outcome, reason)


def rejected(reason: RejectReason) -> Key:
    return routed(Outcome.DEAD_LETTERED, reason)


class Bench:
    """The routing step and what surrounds it."""

    def __init__(self, **rules: Any) -> None:
        self.producer = Producer()
        self.outcomes = Outcomes()
        self.breakers = Breakers(BreakerSettings())
        self.step = RoutingStep(
            RoutingSettings(**rules),
            cast("Any", self.producer),
            DOCUMENTS,
            DeadLetters(cast("Any", self.producer), LETTERS),
            self.outcomes,
            breakers=self.breakers,
        )

    async def take(self, *values: bytes | None, role: TopicRole = TopicRole.COMPLETED) -> None:
        await self.step.take(chunk(*values), role)

    def letters(self) -> list[DeadLetter]:
        return [
            DeadLetter.from_record(one.key, one.value, one.headers)
            for one in self.producer.sent.get(LETTERS, [])
        ]


async def test_a_record_becomes_its_document_keyed_by_activation_id() -> None:
    bench = Bench()
    record = Records(1).one()
    await bench.take(result(record))
    (sent,) = bench.producer.sent[DOCUMENTS]
    assert sent.key == record["activationId"].encode()
    assert sent.value is not None
    kept = document(record, NOW)
    assert sorted(sent.value) == sorted(encode(kept))
    assert bench.outcomes.counts == Counter({routed(Outcome.ROUTED): 1})


async def test_every_record_of_a_chunk_is_counted_once() -> None:
    bench = Bench(excluded_namespaces="banned", blocking_store_level="STORE_FAILURES")
    records = Records(2)
    failed = {"statusCode": 2}
    await bench.take(
        result(records.one(response=failed)),
        result(records.one(response={"statusCode": 0})),
        result(records.one(namespace="banned", response=failed)),
        result("0" * 32, instance=INVOKER),
        encode({"transid": ["t", 1], "activationId": "0" * 32, "instance": INVOKER}),
        b"ping",
        b"{}",
        result(records.one(activationId="short")),
    )
    assert bench.outcomes.counts == Counter(
        {
            routed(Outcome.ROUTED): 1,
            routed(Outcome.SKIPPED, SkipReason.STORE_LEVEL): 1,
            routed(Outcome.SKIPPED, SkipReason.EXCLUDED_NAMESPACE): 1,
            routed(Outcome.SKIPPED, SkipReason.NO_RECORD): 1,
            routed(Outcome.SKIPPED, SkipReason.ACKNOWLEDGEMENT): 1,
            routed(Outcome.DEAD_LETTERED, RejectReason.NOT_JSON): 1,
            routed(Outcome.DEAD_LETTERED, RejectReason.NOT_A_MESSAGE): 1,
            routed(Outcome.DEAD_LETTERED, RejectReason.INVALID_RECORD): 1,
        }
    )
    assert bench.outcomes.consumed == {Step.ROUTE: 8}
    assert [letter.offset for letter in bench.letters()] == [5, 6, 7]


async def test_the_role_decides_the_store_level() -> None:
    bench = Bench(non_blocking_store_level="STORE_FAILURES")
    success = result(Records(3).one(response={"statusCode": 0}))
    await bench.take(success, role=TopicRole.COMPLETED)
    await bench.take(success, role=TopicRole.OTHERS)
    await bench.take(success, role=TopicRole.ACTIVATIONS)
    assert bench.outcomes.counts == Counter(
        {routed(Outcome.ROUTED): 1, routed(Outcome.SKIPPED, SkipReason.STORE_LEVEL): 2}
    )


async def test_a_document_that_kafka_finds_too_large_is_set_aside_as_its_message() -> None:
    bench = Bench()
    large, small = Records(4).many(2)
    await bench.take(result(large))
    document_of_large = bench.producer.sent[DOCUMENTS][0].value
    assert document_of_large is not None
    bench = Bench()
    bench.producer.too_large = {document_of_large}
    await bench.take(result(large), result(small))
    (letter,) = bench.letters()
    assert (letter.reason, letter.value) == (RejectReason.TOO_LARGE, result(large))
    assert "PERSISTER_MAX_RECORD_BYTES" in letter.detail
    assert bench.outcomes.counts == Counter(
        {routed(Outcome.ROUTED): 1, routed(Outcome.DEAD_LETTERED, RejectReason.TOO_LARGE): 1}
    )


async def test_a_record_that_fits_nowhere_is_counted_twice_over() -> None:
    bench = Bench()
    bench.producer.too_large = {b"ping"}
    await bench.take(b"ping")
    (letter,) = bench.letters()
    assert (letter.value, letter.offset) == (None, 0)
    assert letter.left_out is not None
    assert bench.outcomes.counts == Counter({rejected(RejectReason.NOT_JSON): 1})
    assert bench.outcomes.shortened == 1


async def test_a_record_at_which_the_persister_fails_costs_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(role: TopicRole, value: bytes | None, timestamp: int, rules: Any) -> Decision:
        if value == b"poison":
            raise RecursionError
        return route(role, value, timestamp, rules)

    monkeypatch.setattr("app.routing.step.closely", failing)
    bench = Bench()
    first, last = Records(6).many(2)
    await bench.take(result(first), b"poison", b"ping", result(last))
    assert len(bench.producer.sent[DOCUMENTS]) == 2
    assert [(letter.offset, letter.value) for letter in bench.letters()] == [
        (1, b"poison"),
        (2, b"ping"),
    ]
    assert bench.outcomes.counts == Counter(
        {
            routed(Outcome.ROUTED): 2,
            rejected(RejectReason.UNFORESEEN): 1,
            rejected(RejectReason.NOT_JSON): 1,
        }
    )


async def test_records_beside_one_that_cannot_be_decided_together_are_decided_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: Any) -> Decision:
        raise KeyError

    monkeypatch.setattr("app.routing.step.quickly", failing)
    bench = Bench()
    await bench.take(result(Records(6).one()), b"ping")
    assert bench.outcomes.counts == Counter(
        {routed(Outcome.ROUTED): 1, rejected(RejectReason.NOT_JSON): 1}
    )


async def test_defects_in_numbers_hold_the_topic() -> None:
    bench = Bench()

    def failing(*_: Any) -> Decision:
        raise KeyError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.routing.step.closely", failing)
        await bench.take(*[b"ping"] * 1000)
    assert bench.breakers.holds("topic")


async def test_a_batch_that_was_not_unpacked_is_set_aside_as_it_is() -> None:
    bench = Bench()
    batch = Unreadable(offset=9, timestamp=NOW, encoded=b"batch", why="too large")
    await bench.step.take(Chunk(TP("topic", 0), [batch]), TopicRole.COMPLETED)
    (letter,) = bench.letters()
    assert (letter.offset, letter.value, letter.reason, letter.detail) == (
        9,
        b"batch",
        RejectReason.UNREADABLE,
        "too large",
    )


async def test_when_kafka_takes_nothing_nothing_is_counted() -> None:
    bench = Bench()
    bench.producer.error = ConnectionError("refused")
    with pytest.raises(ConnectionError):
        await bench.take(result(Records(5).one()), b"ping")
    assert bench.outcomes.counts == Counter()
    assert bench.outcomes.consumed == Counter()


async def test_an_empty_value_is_a_record_too() -> None:
    bench = Bench()
    await bench.take(None, b"")
    assert [letter.value for letter in bench.letters()] == [None, b""]
    assert bench.outcomes.consumed == {Step.ROUTE: 2}


async def test_nobody_waits_for_large_records_of_the_usual_form() -> None:
    bench = Bench()
    more = b'"more":[%b0],"logs"' % (b"12345678," * 400_000)
    values = [result(one).replace(b'"logs"', more) for one in Records(1).many(3)]
    taking = asyncio.create_task(bench.take(*values))
    assert await longest_turn(taking) < 0.2
    await taking
    assert bench.outcomes.counts == Counter({routed(Outcome.ROUTED): 3})


@pytest.mark.parametrize("size,count", [(400_000, 1), (30_000, 20)])
async def test_nobody_waits_for_records_that_are_made_to_be_read_slowly(
    size: int, count: int
) -> None:
    bench = Bench()
    slow = b'"more":[%b0],"logs"' % (b"[[[[1]]]]," * (size // 10))
    values = [result(one).replace(b'"logs"', slow) for one in Records(1).many(count)]
    taking = asyncio.create_task(bench.take(*values))
    assert await longest_turn(taking) < 0.3
    await taking
    assert bench.outcomes.counts == Counter({routed(Outcome.ROUTED): count})


def test_tiny_records_that_are_set_aside_cost_no_more_than_others_of_their_size() -> None:
    number, in_kafka = 5000, 10  # bytes of one with a byte, uncompressed
    tiny = chunk(*[b"x"] * number)
    costs = cost(lambda: asyncio.run(Bench().step.take(tiny, TopicRole.COMPLETED)))
    assert costs < 80 * number * in_kafka / 1024**2  # a second for a megabyte
