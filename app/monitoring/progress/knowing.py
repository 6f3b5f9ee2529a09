"""Gathers this worker's own state without waiting for anything.

The consumer runs in its own thread; only plain attributes of it are read, so that a hung thread
does not block the caller.
"""

from typing import Any

import faust

from app.couchdb import BulkWriter
from app.kafka.delivery.ledger import Ledger
from app.kafka.discovery import Discovery
from app.kafka.patches.noted_throttling import throttling
from app.kafka.patches.table_recovery import TableManager
from app.kafka.producer_service import ProducerService
from app.monitoring.outcomes import Outcomes, Step
from app.monitoring.progress.facts import Database, Worker
from app.routing.breaker import Breakers
from app.storing.step import StoringStep


class Knowledge:
    """Reads the state of the application's parts.

    Args:
        app: Faust's application, with the consumer; tells whether it is rebalancing or stopping.
        tables: the recovery of the guard's table.
        documents: the name of the internal topic.
        producer: tells whether records cannot be sent to Kafka.
        breakers: tell which topics are held.
        writer: tells the state of the database.
        storing_step: tells why storing is held.
        discovery: tells which topics may not be read, and whether the group accepts the worker.
        outcomes: count what has been stored.
        ledger: tells which chunks are under way.
    """

    def __init__(
        self,
        app: faust.App,
        tables: TableManager,
        documents: str,
        *,
        producer: ProducerService,
        breakers: Breakers,
        writer: BulkWriter,
        storing_step: StoringStep,
        discovery: Discovery,
        outcomes: Outcomes,
        ledger: Ledger,
    ) -> None:
        self._app = app
        self._tables = tables
        self._documents = documents
        self._producer = producer
        self._breakers = breakers
        self._writer = writer
        self._storing_step = storing_step
        self._discovery = discovery
        self._outcomes = outcomes
        self._ledger = ledger
        self._started = False

    def __call__(self) -> Worker:
        """The worker's current state."""
        app = self._app
        recovery = self._tables.recovery
        recovered = recovery.completed.is_set()
        self._started = self._started or recovered
        coordinator = _coordinator(app)
        return Worker(
            member=str(getattr(coordinator, "member_id", "")),
            generation=int(getattr(coordinator, "generation", -1)),
            stopping=app.should_stop,
            leads=self._discovery.leads,
            started=self._started,
            rebalancing=app.rebalancing or not recovered,
            recovery_left=0 if recovered else recovery.active_remaining_total(),
            held=self._held(),
            unreadable=self._discovery.unreadable,
            unanswered=self._discovery.unanswered,
            refused=self._discovery.refused or "",
            unsent=self._producer.trouble,
            throttled=throttling.told,
            at_work=self._ledger.at_work(),
            database=self._database(),
        )

    def _held(self) -> dict[str, str]:
        breakers = self._breakers
        held = {
            topic: opened.why
            for topic, opened in breakers.topics().items()
            if opened and breakers.holds(topic)
        }
        # A restart fixes none of these, and would only make them start over.
        writer = self._writer
        if writer.narrowing and writer.availability.failing_since is None:
            held[self._documents] = f"requests that fail while others pass: {writer.narrowing}"
        if parked := writer.diagnosis.parked:
            held[self._documents] = f"documents under diagnosis: {parked}"
        for opened in self._storing_step.breaker.reasons().values():
            held[self._documents] = opened.why
        return held

    def _database(self) -> Database:
        writer, consumed = self._writer, self._outcomes.consumed
        availability, stats = writer.availability, writer.stats
        last_error = availability.last_error or ""
        failing = availability.failing_since is not None
        return Database(
            failing=last_error if failing else "",
            last_error=last_error,
            stored=stats.documents_written + stats.conflicts_read_back,
            compared=stats.compared,
            finished=consumed[Step.STORE],
            answers=stats.requests.total(),
            busy=writer.busy,
            waits=writer.gate.waits,
        )


def _coordinator(app: faust.App) -> Any:
    """The coordinator of aiokafka's consumer; None while there is none."""
    thread = getattr(app.consumer, "_thread", None)
    return getattr(getattr(thread, "_consumer", None), "_coordinator", None)
