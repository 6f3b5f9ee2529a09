"""The service that writes documents: coalesces the documents of many tasks into full requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import random as uniform
from typing import Any

from mode import Service

from app.couchdb.availability import Availability
from app.couchdb.circuit import Circuit
from app.couchdb.conflicts import Conflicts
from app.couchdb.database import Database
from app.couchdb.diagnosis import Diagnosis
from app.couchdb.evidence import Evidence
from app.couchdb.gate import Gate
from app.couchdb.pace import ConcurrencyLimit, RateLimit
from app.couchdb.queue import LARGE, Call, Queue, Request
from app.couchdb.requests import Requests
from app.couchdb.settling import Settling
from app.couchdb.stats import WriterStats
from app.settings import DatabaseSettings, DiagnosisSettings
from app.storing.sink import Document, Outcome, Refused, Result, SinkStopped
from app.tracing import CHUNKS
from models.reasons import RejectReason

RESERVED_ID = Refused(
    RejectReason.REFUSED,
    "illegal_docid: Only reserved document ids may start with _",
    proven=True,
)
"""CouchDB's wording, although CouchDB is not asked: it would accept a design document."""


READING = ("lets documents be read back", "does not let documents be read back")


async def _at_once() -> None:
    pass


class BulkWriter(Service):
    """Writes documents in bulk and returns a result for each. Implements `app.storing.sink.Sink`.

    A request is sent at once if no other is under way. Documents that arrive in the meantime gather
    for the next request. It is sent when the first one is answered or, as far as the pace allows,
    in parallel as soon as it is full or its first document has waited `settings.linger` seconds. So
    requests are small while there is little to write, and large when there is much: as large as
    `settings.request_documents`, or as a second of `settings.documents_per_second`.

    Large documents have a queue of their own and leave half of the places to the others. If there
    is only one place, one request of the others is sent in addition, so that nobody waits behind
    megabytes.

    Transient failures are retried for as long as it takes, so a slow `write` is how a caller
    notices that the database cannot keep up.

    Args:
        database: the database, which the writer connects and closes.
        settings: size and number of requests, rate, linger.
        diagnosis: what it takes to condemn a document.
        topic_prefix: the prefix of OpenWhisk's topics, for messages to the operator.
        cleared: waits, once the database is identified, until documents may be written to it.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
        random: returns a number from 0 to 1, for the jitter of retries.
        kwargs: passed to `mode.Service`.
    """

    def __init__(
        self,
        database: Database,
        settings: DatabaseSettings,
        diagnosis: DiagnosisSettings,
        *,
        topic_prefix: str = "",
        cleared: Callable[[], Awaitable[None]] = _at_once,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = uniform,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stats = WriterStats()
        self.availability = Availability(database.address, clock=clock)
        self.limit = ConcurrencyLimit(settings.requests_in_flight)
        # One that has more than a second may take would wait until all of it is earned.
        paced = settings.documents_of_a_second or settings.request_documents
        self.queue = Queue(min(paced, settings.request_documents), settings.request_bytes)
        self.large = Queue(1, settings.request_bytes)
        """The queue of documents over `LARGE` bytes."""
        self.gate = Gate(
            self.limit, RateLimit(settings.documents_per_second), clock=clock, sleep=sleep
        )
        self.reading = Availability(database.address, clock=clock, does=READING)
        self.evidence = Evidence(diagnosis)
        self._changed = asyncio.Event()
        self.requests = Requests(
            database,
            gate=self.gate,
            limit=self.limit,
            circuit=Circuit(
                clock=clock,
                sleep=sleep,
                random=random,
                new_credentials=database.read_credentials,
            ),
            evidence=self.evidence,
            availability=self.availability,
            reading=self.reading,
            stats=self.stats,
            changed=self._changed,
            sleep=sleep,
            clock=clock,
            random=random,
        )
        self._conflicts = conflicts = Conflicts(self.requests, self.stats, topic_prefix)
        self.diagnosis = Diagnosis(
            self.requests,
            conflicts,
            self.evidence,
            start=self.add_future,
            clock=clock,
            sleep=sleep,
        )
        self._database = database
        self._settling = Settling(
            self.requests, conflicts, self.diagnosis, self.stats, self.queue.shrink
        )
        self._linger = settings.linger
        self._per_second = settings.documents_per_second
        self._clock = clock
        self._sleep = sleep
        self._cleared = cleared
        self._found = asyncio.Event()
        self._lingering = False
        self._unfinished: set[Request] = set()
        self._comparing = 0
        self._settled_at = float("-inf")
        self._settled = asyncio.Event()
        self._moved = asyncio.Event()

    @property
    def identity(self) -> bytes | None:
        """Which database this is; see `app.storing.sink.Sink`."""
        return self._database.identity

    @property
    def in_flight(self) -> int:
        """How many HTTP requests are under way."""
        return self.gate.in_flight

    @property
    def busy(self) -> bool:
        """Whether any documents are not settled, or none may be written yet."""
        unsettled = self._unfinished or self._comparing or self.waiting_documents
        return bool(unsettled or not self._found.is_set())

    @property
    def narrowing(self) -> int:
        """How many requests have failed, and are tried again or divided."""
        return self._settling.failing

    @property
    def waiting_documents(self) -> int:
        """How many documents no request has taken yet; see `app.storing.sink.Sink`."""
        return self.queue.documents + self.large.documents

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request was settled; 0 while one is under way."""
        return 0.0 if self._unfinished else self._clock() - self._settled_at

    async def next_settled(self) -> None:
        """Wait until another request is settled; one caller at a time."""
        self._settled.clear()
        await self._settled.wait()

    @property
    def failing(self) -> bool:
        """Whether documents fail that may be to blame; see `app.storing.sink.Sink`."""
        return self.requests.doubtful or bool(self.diagnosis.parked)

    async def next_change(self) -> None:
        """Wait until a request takes documents, or fails; see `app.storing.sink.Sink`."""
        await self._moved.wait()
        self._moved.clear()

    async def on_start(self) -> None:
        """Connect; looks for the database in the background until it may be written to."""
        await self._database.connect()
        if self._per_second:
            self.log.info(
                "Writes at most %g documents per second (PERSISTER_DOCUMENTS_PER_SECOND).",
                self._per_second,
            )
        self.add_future(self._prepare())
        self.add_future(self._send_when_places_change())

    async def on_stop(self) -> None:
        """Abandon documents that are not settled.

        Callers that want their documents settled have to wait for `write` before they stop the
        writer.
        """
        stopped = SinkStopped("the writer was stopped before the documents were settled")
        for call in self.queue.take_all() + self.large.take_all():
            call.fail(stopped)
        for request in self._unfinished:
            request.fail(stopped)
        self.diagnosis.stop()

    async def on_shutdown(self) -> None:
        """Close the connections, now that the requests in flight are cancelled."""
        await self._database.close()

    async def found(self) -> None:
        """Wait for the database; see `app.storing.sink.Sink`."""
        await self._found.wait()

    async def write(self, documents: Sequence[Document]) -> list[Result]:
        """Store documents that the database does not hold yet.

        Many tasks may call it at once. Cancelling a call only stops the waiting: documents that a
        request has taken may still be written.

        Args:
            documents: in any order; none with an id that is already being written.

        Returns:
            One result for each document, in order, once the last one is settled. A document whose
            id begins with `_` is refused here, whatever its origin: it would be a design document.

        Raises:
            SinkStopped: the writer was stopped; what became of the documents is unknown.
        """
        if not self.started or self.should_stop:
            raise SinkStopped("the writer is not running")
        allowed = [document for document in documents if document.id[:1] != "_"]
        if len(allowed) == len(documents):
            return await self._write(documents)
        results = iter(await self._write(allowed))
        return [RESERVED_ID if document.id[:1] == "_" else next(results) for document in documents]

    async def compare(self, documents: Sequence[Document]) -> list[Outcome | None]:
        """Settle documents by what is stored; see `app.storing.sink.Sink`.

        It is one attempt: what keeps documents from being read is dealt with when one is written.
        """
        if not self.started or self.should_stop:
            raise SinkStopped("the writer is not running")
        self._comparing += 1
        try:
            compared = await self.wait(self._conflicts.compare(documents))
        finally:
            self._comparing -= 1
        if compared.stopped:
            raise SinkStopped("the writer was stopped")
        outcomes: list[Outcome | None] = compared.result
        return outcomes

    async def _write(self, documents: Sequence[Document]) -> list[Result]:
        large = [document for document in documents if len(document.body) > LARGE]
        if not large:
            return await self._queued(self.queue, documents)
        others = [document for document in documents if len(document.body) <= LARGE]
        ends = await asyncio.gather(
            self._queued(self.large, large), self._queued(self.queue, others)
        )
        of_large, of_others = map(iter, ends)
        return [
            next(of_large if len(document.body) > LARGE else of_others) for document in documents
        ]

    async def _queued(self, queue: Queue, documents: Sequence[Document]) -> list[Result]:
        if not documents:
            return []
        call = Call(documents, self._clock(), asyncio.get_running_loop().create_future())
        queue.put(call)
        # Later in this turn of the loop, after other tasks have queued their documents, too.
        asyncio.get_running_loop().call_soon(self._send_ready)
        try:
            await call.done
        except BaseException:
            queue.discard(call)
            raise
        return call.results

    async def _prepare(self) -> None:
        await self.requests.prepare()
        await self._cleared()
        self._found.set()
        self._send_ready()

    async def _send_when_places_change(self) -> None:
        while not self.should_stop:
            await self._changed.wait()
            self._changed.clear()
            self._moved.set()
            self._send_ready()

    def _send_ready(self) -> None:
        """Start the requests that are due and admitted, and schedule a check for the rest."""
        if self.should_stop:
            return
        while self._found.is_set() and (queue := self._next()) is not None:
            request = queue.take()
            queue.under_way += 1
            self._moved.set()
            self._unfinished.add(request)
            self.add_future(self._settle(request, queue))
        if self.queue.documents and not self._due(self.queue) and not self._lingering:
            self._lingering = True
            self.add_future(self._wait_for_more())

    def _next(self) -> Queue | None:
        """The queue to take the next request from: of those that are due, the one waiting longer.

        Requests that wait for a retry give up their places, as do those that were divided because
        others pass. Requests that have failed several times do not count at all: the next ones may
        pass, and show whose fault it is.
        """
        due = [self.queue] if self._due(self.queue) else []
        if self._due(self.large) and not self._crowded:
            due.append(self.large)
        if not due:
            return None
        unfinished = len(self._unfinished)
        active = unfinished - self.requests.resting - self._settling.apart
        most = self.limit.maximum + self._settling.stubborn + self._settling.apart
        if active < self.limit.current and unfinished < most:
            return min(due, key=lambda queue: queue.oldest or 0.0)
        beside = self.queue in due and not self.queue.under_way
        return self.queue if beside else None

    @property
    def _crowded(self) -> bool:
        """Whether large documents take half of the places while others need the rest."""
        others = self.queue.documents or self.queue.under_way
        return bool(others) and self.large.under_way >= max(1, self.limit.current // 2)

    def _due(self, queue: Queue) -> bool:
        if queue.oldest is None:
            return False
        if queue.full or not queue.under_way:
            return True
        return self._clock() >= queue.oldest + self._linger

    async def _wait_for_more(self) -> None:
        while (oldest := self.queue.oldest) is not None and not self._due(self.queue):
            await self._sleep(oldest + self._linger - self._clock())
        self._lingering = False
        self._send_ready()

    async def _settle(self, request: Request, queue: Queue) -> None:
        CHUNKS.set([part.call.chunk for part in request.slices])
        try:
            request.settle(await self._settling.settle(request.documents))
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            request.fail(SinkStopped("the writer was stopped") if cancelled else error)
            raise
        finally:
            self._unfinished.discard(request)
            self._settled_at = self._clock()
            self._settled.set()
            queue.under_way -= 1
            self._send_ready()
