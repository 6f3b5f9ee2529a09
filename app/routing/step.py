"""The first step: turns OpenWhisk's messages into documents in the internal topic."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from faust.types import TP
from mode import get_logger

from app.dead_letters import DeadLetters, SetAside, aside, unforeseen
from app.kafka.delivery import Chunk
from app.kafka.producer import BatchProducer, Outgoing
from app.kafka.records import Record
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.process.turn import Turn
from app.routing import Decision, Skip, Store, closely, quickly, route
from app.routing.breaker import COUNTED, Breakers, Change
from app.settings import RoutingSettings
from app.tracing import Tracing
from models.reasons import RejectReason, SkipReason
from models.roles import TopicRole

logger = get_logger(__name__)

_HELD = (
    "Stopped reading %s: %s. What comes now stays in Kafka, until the topic's retention deletes "
    "it. Find out who writes it: `persister dead-letters list --topic %s`. It is tried again "
    "after PERSISTER_BREAKER_COOLDOWN seconds; PERSISTER_BREAKER_RATIO, _MINIMUM and _CONSECUTIVE "
    "say how much is too much."
)


_LARGE = 64 * 1024
"""Size in bytes above which a record that is not read at once is read in a thread."""

_Decide = Callable[[TopicRole, bytes | None, int, RoutingSettings], Decision]

_TOGETHER = 64
"""Records that are read without a look at the clock."""


class RoutingStep:
    """Routes chunks; never waits for the database."""

    def __init__(
        self,
        rules: RoutingSettings,
        producer: BatchProducer,
        documents_topic: str,
        dead_letters: DeadLetters,
        outcomes: Outcomes,
        *,
        breakers: Breakers,
        tracing: Tracing | None = None,
    ) -> None:
        self._rules = rules
        self._producer = producer
        self._documents_topic = documents_topic
        self._dead_letters = dead_letters
        self._outcomes = outcomes
        self._breakers = breakers
        self._tracing = tracing or Tracing()
        self._aside = ThreadPoolExecutor(1, "large-records")
        """Reads large records of unusual form, while everything else goes on."""

    async def take(self, chunk: Chunk, role: TopicRole) -> None:
        """Route every record of a chunk.

        Returns once Kafka has acknowledged its documents in the internal topic and its rejected
        records in the dead-letter topic. The chunk can then be acknowledged.
        """
        with self._tracing.chunk(Step.ROUTE, chunk):
            await self._take(chunk, role)

    async def _take(self, chunk: Chunk, role: TopicRole) -> None:
        skipped: Counter[SkipReason] = Counter()
        set_aside: list[SetAside] = []
        sources: list[Record] = []
        documents: list[Outgoing] = []
        decisions = await self._decide(chunk, role)
        for record, decision in zip(chunk.records, decisions, strict=True):
            if isinstance(decision, Store):
                documents.append(Outgoing(decision.activation_id.encode(), decision.document))
                sources.append(record)
            elif isinstance(decision, Skip):
                skipped[decision.reason] += 1
            elif isinstance(decision, SetAside):
                set_aside.append(decision)
            else:
                set_aside.append(aside(record, decision.reason, decision.detail))
        self._tracing.carry(sources, documents)
        too_large = await self._producer.send(self._documents_topic, documents)
        if too_large:
            set_aside += _too_large(zip(sources, documents, strict=True), too_large)
        shortened = await self._dead_letters.write(chunk.tp, set_aside)
        counts = Counter({Key(Step.ROUTE, Outcome.ROUTED): len(documents) - len(too_large)})
        for skip_reason, count in skipped.items():
            counts[Key(Step.ROUTE, Outcome.SKIPPED, skip_reason)] = count
        for reason, count in Counter(letter.reason for letter in set_aside).items():
            counts[Key(Step.ROUTE, Outcome.DEAD_LETTERED, reason)] = count
        self._outcomes.add(Step.ROUTE, counts, len(chunk.records))
        self._outcomes.shortened += shortened
        self._watch(chunk, set_aside)

    async def _decide(self, chunk: Chunk, role: TopicRole) -> Sequence[Decision | SetAside]:
        """The decision about each record; one that makes the persister fail is set aside."""
        decided: list[Decision | SetAside] = []
        turn = Turn()
        for first in range(0, chunk.count, _TOGETHER):
            records = chunk.records[first : first + _TOGETHER]
            decisions, decide = self._decide_quickly(records, role)
            if all(decisions):
                decided += cast("list[Decision]", decisions)
                if turn.over:
                    await turn.pass_on()
                continue
            for record, decision in zip(records, decisions, strict=True):
                if decision is not None:
                    decided.append(decision)
                elif len(record.value or b"") <= _LARGE:
                    decided.append(self._decide_alone(chunk.tp, record, role, decide))
                else:
                    decided.append(await self._decide_aside(chunk.tp, record, role, decide))
                if turn.over:
                    await turn.pass_on()
        return decided

    def _decide_quickly(
        self, records: Sequence[Record], role: TopicRole
    ) -> tuple[Sequence[Decision | None], _Decide]:
        """The decisions that are made at once, and how to make the others."""
        rules = self._rules
        try:
            return [quickly(role, one.value, one.timestamp, rules) for one in records], closely
        except Exception:  # noqa: BLE001 - which one it is, is found alone
            return [None] * len(records), route

    def _decide_alone(
        self, tp: TP, record: Record, role: TopicRole, decide: _Decide
    ) -> Decision | SetAside:
        try:
            return decide(role, record.value, record.timestamp, self._rules)
        except Exception as error:  # noqa: BLE001 - no record may end the worker
            return unforeseen(tp, record, error)

    async def _decide_aside(
        self, tp: TP, record: Record, role: TopicRole, decide: _Decide
    ) -> Decision | SetAside:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, self._decide_alone, tp, record, role, decide)

    def _watch(self, chunk: Chunk, set_aside: Iterable[SetAside]) -> None:
        """Let the topic's breaker judge the chunk; logs when it opens or closes."""
        topic = chunk.tp.topic
        rejected = [letter for letter in set_aside if letter.reason in COUNTED]
        example = f"{rejected[0].reason}: {rejected[0].detail}" if rejected else ""
        change = self._breakers.observe(topic, len(chunk.records), len(rejected), example)
        if change is Change.OPENED:
            logger.error(_HELD, topic, self._breakers.why(topic), topic)
        elif change is Change.CLOSED:
            logger.warning("Reading %s again: its records are accepted.", topic)


def _too_large(
    documents: Iterable[tuple[Record, Outgoing]], too_large: list[Outgoing]
) -> list[SetAside]:
    sent = {id(outgoing) for outgoing in too_large}
    return [
        SetAside(
            record,
            RejectReason.TOO_LARGE,
            f"a document of {len(outgoing.value or b'')} bytes does not fit into the internal "
            "topic: raise its max.message.bytes and PERSISTER_MAX_RECORD_BYTES",
        )
        for record, outgoing in documents
        if id(outgoing) in sent
    ]
