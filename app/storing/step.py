"""The second step: stores the documents of a chunk, each once."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP
from mode import Service

from app.dead_letters import DeadLetters, SetAside, aside, unforeseen
from app.kafka.delivery import Chunk, ChunkEvent
from app.kafka.records import Record
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.process.turn import Turn
from app.settings import WorkerSettings
from app.storing.breaker import StoreBreaker, reason_of
from app.storing.guard import Guard, identify
from app.storing.in_order import InOrder, Line
from app.storing.sink import Document, Parked, Refused, Settled, Sink, SinkStopped
from app.storing.sink import Outcome as Ended
from app.tracing import Tracing
from models.reasons import RejectReason
from models.repair import is_repair
from models.reserved import ReservedError


class _Received(Document, frozen=True, gc=False):
    """A document, with the record that it came in."""

    record: Record
    digest: bytes
    repair: bool
    """Whether it is known to be missing in the database, whatever the guard remembers."""


@dataclass
class _Settling:
    """The state of a chunk that is being stored."""

    records: int
    bytes: int
    """Bytes of its documents that count as in flight: the room that the chunk takes."""
    documents: int
    """The number of these documents."""
    left: int = 0
    """The number of documents that are not finished."""
    left_bytes: int = 0
    """The bytes of these documents."""
    line: Line[_Received] = field(default_factory=Line)
    """The documents that no request has."""
    parked: dict[asyncio.Future[Ended], _Received] = field(default_factory=dict)
    forgetful: bool = False
    """Whether the guard must not remember the chunk, because it is unclear which database has it.
    """
    held: dict[str, str] = field(default_factory=dict)
    """The reasons that documents were held for, by id."""
    counts: Counter[Key] = field(default_factory=Counter)
    set_aside: list[SetAside] = field(default_factory=list)
    """What is not in the dead letters yet."""


_LARGE = 64 * 1024
"""Size in bytes above which a document is identified in a thread."""

_COMPARED_AT_ONCE = 500
"""How many documents of a chunk are compared with what is stored before their room is given back.
"""

PACED_SECONDS = 5
"""Seconds of the maximum rate that may wait for a request. What is taken is stored even after a
rebalance, when the partition's next owner may store it, too.

Documents that a request has do not count: those that fail stay until others pass, which those that
wait here have to show.
"""

BESIDE_FAILING = 0.5
"""How much more room there is while documents fail. Those that fail stay until others pass, which
need room to show whose fault it is.
"""

_STORED = Key(Step.STORE, Outcome.STORED)
_SEEN = Key(Step.STORE, Outcome.DUPLICATE, "guard")
_PRESENT = Key(Step.STORE, Outcome.DUPLICATE, "database")
_COMPLETED = Key(Step.STORE, Outcome.DUPLICATE, "completed by logs")
_SETTLED = {
    Settled.STORED: _STORED,
    Settled.DUPLICATE: _PRESENT,
    Settled.COMPLETED: _COMPLETED,
}


class StoringStep(Service):
    """Stores chunks concurrently, with a bounded number of documents in memory.

    Only one request at a time writes a document id. A record whose id is being written waits for
    that write and then asks the guard again, so that the same record in two chunks is written once.
    Records of an id are written in the order of their offsets: of two that differ, the first stays.

    Args:
        guard: knows what is stored.
        sink: stores documents.
        dead_letters: takes what is set aside.
        outcomes: counts.
        settings: how much may be in flight.
        breaker: holds what would be set aside in great numbers.
        stored: called with documents that were stored.
        tracing: has a span for each chunk.
        paced: how many documents the sink takes in a second; None for any number.
        kwargs: passed to `mode.Service`.
    """

    def __init__(
        self,
        guard: Guard,
        sink: Sink,
        dead_letters: DeadLetters,
        outcomes: Outcomes,
        settings: WorkerSettings,
        *,
        breaker: StoreBreaker,
        stored: Callable[[Sequence[Document]], object] = lambda _: None,
        tracing: Tracing | None = None,
        paced: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._stored = stored
        self._tracing = tracing or Tracing()
        self._guard = guard
        self._sink = sink
        self._dead_letters = dead_letters
        self._outcomes = outcomes
        self._settings = settings
        self._most_waiting = None if paced is None else PACED_SECONDS * paced
        self.breaker = breaker
        self._aside = ThreadPoolExecutor(1, "large-documents")
        """Identifies large documents, while everything else goes on."""
        self._identifying: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One chunk at a time per partition, because the order of its ids is the chunks' own."""
        self._order = InOrder[_Received]()
        self._room = asyncio.Condition()
        self.documents_in_flight = 0
        self.bytes_in_flight = 0
        self._before_sink = 0
        """How many of them have not been offered to the sink yet."""

    async def on_start(self) -> None:
        """Look for room whenever a request takes documents, or fails."""
        self.add_future(self._look_for_room())

    async def _look_for_room(self) -> None:
        while not self.should_stop:
            await self._sink.next_change()
            async with self._room:
                self._room.notify_all()

    async def submit(self, event: ChunkEvent) -> None:
        """Start to store an event's chunk; waits first until there is room for it.

        The event is acknowledged once every record of the chunk is settled.
        """
        await self.breaker.closed()
        chunk = event.value
        size = sum([len(record.value or b"") for record in chunk.records])
        settling = _Settling(len(chunk.records), size, len(chunk.records))
        async with self._room:
            await self._room.wait_for(self._has_room)
            self.documents_in_flight += settling.documents
            self.bytes_in_flight += settling.bytes
            self._before_sink += settling.documents
        self.add_future(self._store(event, settling))

    def _has_room(self) -> bool:
        share = 1 + BESIDE_FAILING * self._sink.failing
        return (
            self.documents_in_flight < self._settings.in_flight_documents * share
            and self.bytes_in_flight < self._settings.in_flight_bytes * share
            and (self._most_waiting is None or self._waiting < self._most_waiting)
        )

    @property
    def _waiting(self) -> int:
        """How many documents no request has taken yet, without those behind others of their ids."""
        return self._before_sink + self._sink.waiting_documents

    async def _store(self, event: ChunkEvent, settling: _Settling) -> None:
        try:
            with self._tracing.chunk(Step.STORE, event.value):
                await self._settle(event.value, settling)
        except SinkStopped:
            if not self.should_stop:
                raise
            return  # the worker ends, and the chunk is delivered to the partition's next owner
        event.ack()
        await self._give_back(settling)

    async def _settle(self, chunk: Chunk, settling: _Settling) -> None:
        line = settling.line
        async with self._identifying[chunk.tp.partition]:
            documents = await self._identify(chunk.tp, chunk.records, settling)
            self._order.enter(documents, line)
        settling.left = len(documents)
        settling.left_bytes = sum([len(document.body) for document in documents])
        del documents
        # The guard can neither be asked nor remember anything before the database is known, and
        # nothing is written before it is clear that it is the one of the whole group.
        await self._sink.found()
        self._before_sink -= settling.documents
        turn = Turn()
        while settling.left:
            if turn.over:
                await turn.pass_on()
            fresh = self._sort_out(chunk.tp.partition, settling)
            if fresh:
                await self._write(chunk, fresh, settling)
            elif settling.left and not line.ready:
                # A few documents may take long, so free the memory of the others.
                chunk.release()
                await self._write_letters(chunk, settling)
                await self._give_back(settling)
                await self._wait(chunk, settling)
        await self._write_letters(chunk, settling)
        self._outcomes.add(Step.STORE, settling.counts, settling.records)

    async def _write_letters(self, chunk: Chunk, settling: _Settling) -> None:
        """Write what is set aside to the dead letters: until then, it keeps its room."""
        letters, settling.set_aside = settling.set_aside, []
        shortened = await self._dead_letters.write(chunk.tp, letters)
        self._outcomes.shortened += shortened  # `+= await` undoes what is counted meanwhile
        for reason, count in Counter(letter.reason for letter in letters).items():
            settling.counts[Key(Step.STORE, Outcome.DEAD_LETTERED, reason)] += count

    async def _give_back(self, settling: _Settling) -> None:
        """Return the room of finished documents."""
        async with self._room:
            self.documents_in_flight -= settling.documents - settling.left
            self.bytes_in_flight -= settling.bytes - settling.left_bytes
            settling.documents, settling.bytes = settling.left, settling.left_bytes
            self._room.notify_all()

    async def _wait(self, chunk: Chunk, settling: _Settling) -> None:
        """Wait for a document that another chunk is writing, or that is under diagnosis."""
        line = settling.line
        if line.ready:  # in the meantime
            return
        others: set[asyncio.Future[Any]] = {line.moved()} if line.waiting else set()
        await asyncio.wait(others | settling.parked.keys(), return_when=asyncio.FIRST_COMPLETED)
        done = {future: item for future, item in settling.parked.items() if future.done()}
        for future in done:
            del settling.parked[future]
        results = [(item, future.result()) for future, item in done.items()]
        await self._take(chunk, results, settling)

    def _leave(self, finished: Sequence[_Received], settling: _Settling) -> None:
        """Let the next documents of their ids be written."""
        self._finish(finished, settling)
        self._order.leave(finished)

    @staticmethod
    def _finish(finished: Sequence[_Received], settling: _Settling) -> None:
        settling.left -= len(finished)
        settling.left_bytes -= sum([len(item.body) for item in finished])

    async def _identify(
        self, tp: TP, records: Iterable[Record], settling: _Settling
    ) -> list[_Received]:
        """The documents among the records; anything may be in the internal topic."""
        documents: list[_Received] = []
        turn = Turn()
        for record in records:
            if turn.over:
                await turn.pass_on()
            value = record.value or b""
            try:
                if len(value) <= _LARGE:
                    document_id, digest = identify(value)
                else:
                    loop = asyncio.get_running_loop()
                    document_id, digest = await loop.run_in_executor(self._aside, identify, value)
            except ReservedError as error:
                settling.set_aside.append(aside(record, RejectReason.REFUSED, str(error)))
            except ValueError as error:
                detail = f"not a document: {error}"
                settling.set_aside.append(aside(record, RejectReason.NOT_JSON, detail))
            except Exception as error:  # noqa: BLE001 - no record may end the worker
                settling.set_aside.append(unforeseen(tp, record, error))
            else:
                repair = bool(record.headers) and is_repair(record.headers)
                documents.append(_Received(document_id, value, record, digest, repair))
        return documents

    def _sort_out(self, partition: int, settling: _Settling) -> list[_Received]:
        """The ready documents, without those that are already stored."""
        line = settling.line
        ready, line.ready = line.ready, []
        fresh, seen = self._divide(partition, ready, settling)
        self._leave(seen, settling)
        return fresh

    def _divide(
        self, partition: int, items: list[_Received], settling: _Settling
    ) -> tuple[list[_Received], list[_Received]]:
        """What is fresh, and what the guard has seen, which is counted."""
        self._guard.bind(self._sink.identity)
        known = self._guard.known(partition, [item.digest for item in items])
        fresh: list[_Received] = []
        seen: list[_Received] = []
        for item in items:
            stored = item.digest in known and not item.repair
            (seen if stored else fresh).append(item)
        if seen:
            settling.counts[_SEEN] += len(seen)
        return fresh, seen

    async def _write(self, chunk: Chunk, fresh: list[_Received], settling: _Settling) -> None:
        """Write documents and remember them, then let the next ones of their ids be written."""
        identity = self._sink.identity
        results = await self._sink.write(fresh)
        if self._sink.identity != identity:
            # The database was replaced during the write, so it is unclear which one has the
            # documents. If they are delivered again, the new database decides.
            settling.forgetful = True
        alone = not settling.held and not settling.line.waiting
        if alone and results.count(Settled.STORED) == len(results):
            settling.counts[_STORED] += len(results)
            self.breaker.observe(len(results), [])
            self._stored(fresh)
            self._remember(chunk, [item.digest for item in fresh], settling)
            self._leave(fresh, settling)
            return
        ended = []
        for item, result in zip(fresh, results, strict=True):
            if isinstance(result, Parked):
                settling.parked[result.outcome] = item
            else:
                ended.append((item, result))
        await self._take(chunk, ended, settling)

    async def _take(
        self, chunk: Chunk, ended: list[tuple[_Received, Ended]], settling: _Settling
    ) -> None:
        """Settle documents, and those behind them, except for the refused ones that are held."""
        self.breaker.observe(len(ended), _refusals(ended))
        done: list[tuple[_Received, Ended]] = []
        for item, result in ended:
            before = settling.held.pop(item.id, None)
            refused_again = isinstance(result, Refused) and reason_of(result) == before
            if before is not None and not refused_again:
                self.breaker.passed(before)
            if isinstance(result, Refused) and self.breaker.holds(result):
                settling.held[item.id] = reason_of(result)
                settling.line.ready.append(item)
            else:
                done.append((item, result))
        self._note(chunk, done, settling)
        leaving = [item for item, _ in done]
        there = [item for item, result in done if _is_there(result)]
        if behind := self._order.take_behind(there, settling.line):
            ids = {item.id for item in behind}
            self._leave([item for item in leaving if item.id not in ids], settling)
            await self._compare(chunk, behind, settling)
            leaving = [item for item in leaving if item.id in ids]
        self._leave(leaving, settling)
        if len(done) < len(ended):
            await self.breaker.closed()

    async def _compare(self, chunk: Chunk, behind: list[_Received], settling: _Settling) -> None:
        """Settle documents whose ids the database has, as far as they need not be written.

        Whoever writes records decides how many of them have the same id, and a request for each
        would take the room of all others for minutes.

        Args:
            chunk: whose documents they are.
            behind: those of an id together, in order; emptied, piece by piece.
            settling: the state of the chunk.
        """
        chunk.release()
        left: list[_Received] = []
        while behind:
            fresh, seen = self._divide(chunk.tp.partition, behind[:_COMPARED_AT_ONCE], settling)
            del behind[:_COMPARED_AT_ONCE]
            identity = self._sink.identity
            outcomes = await self._sink.compare(fresh) if fresh else []
            if self._sink.identity != identity:
                settling.forgetful = True
            compared = list(zip(fresh, outcomes, strict=True))
            ended = [(item, outcome) for item, outcome in compared if outcome is not None]
            self.breaker.observe(len(ended), _refusals(ended))
            self._note(chunk, ended, settling)
            self._finish(seen + [item for item, _ in ended], settling)
            if unsettled := [item for item, outcome in compared if outcome is None]:
                ids = {item.id for item in unsettled}
                left += unsettled + [item for item in behind if item.id in ids]
                behind[:] = [item for item in behind if item.id not in ids]
            await self._write_letters(chunk, settling)
            await self._give_back(settling)
        self._order.put_back(left, settling.line)

    def _note(
        self, chunk: Chunk, ended: list[tuple[_Received, Ended]], settling: _Settling
    ) -> None:
        """Count and remember what is stored; set aside what is refused."""
        stored = []
        new: list[Document] = []
        for item, result in ended:
            if isinstance(result, Refused):
                settling.set_aside.append(SetAside(item.record, result.reason, result.detail))
                continue
            settling.counts[_SETTLED[result]] += 1
            stored.append(item.digest)
            if result is Settled.STORED:
                new.append(item)
        if new:
            self._stored(new)
        self._remember(chunk, stored, settling)

    def _remember(self, chunk: Chunk, stored: list[bytes], settling: _Settling) -> None:
        if not settling.forgetful:
            self._guard.remember(chunk.tp.partition, chunk.first_offset, stored)


def _refusals(ended: list[tuple[_Received, Ended]]) -> list[Refused]:
    return [result for _, result in ended if isinstance(result, Refused)]


def _is_there(result: Ended) -> bool:
    """Whether the database has a document of this id."""
    return not isinstance(result, Refused) or result.reason is RejectReason.DIVERGENT
