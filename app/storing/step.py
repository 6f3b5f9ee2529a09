"""The second step: from a chunk of documents to the database, each once."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from faust.types import TP
from mode import Service

from app.dead_letters import DeadLetters, SetAside, aside, unforeseen
from app.kafka.delivery import Chunk
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.settings import WorkerSettings
from app.storing.guard import Guard, identify
from app.storing.sink import Document, Refused, Settled, Sink
from models.reasons import RejectReason
from models.repair import is_repair


class ChunkEvent(Protocol):
    """A Faust event whose value is a chunk."""

    value: Chunk

    def ack(self) -> bool:
        """Mark the chunk as finished."""


class _Candidate(Document, frozen=True, gc=False):
    """A document, with the record that it came in."""

    record: Any
    digest: bytes
    repair: bool
    """Whether it is known to be missing, whatever the guard remembers."""


@dataclass
class _Settling:
    """A chunk on its way: what is still to do, and what became of the rest."""

    open: list[_Candidate] = field(default_factory=list)
    counts: Counter[Key] = field(default_factory=Counter)
    set_aside: list[SetAside] = field(default_factory=list)


_STORED = Key(Step.STORE, Outcome.STORED)
_SEEN = Key(Step.STORE, Outcome.DUPLICATE, "guard")
_PRESENT = Key(Step.STORE, Outcome.DUPLICATE, "database")


class Storage(Service):
    """Stores chunks concurrently, with a bounded number of documents in memory.

    One document id is written by one request at a time: a record whose id is under way waits for
    that write and then asks the guard again. So the same record in two chunks is one write.
    """

    def __init__(
        self,
        guard: Guard,
        sink: Sink,
        dead_letters: DeadLetters,
        outcomes: Outcomes,
        settings: WorkerSettings,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._guard = guard
        self._sink = sink
        self._dead_letters = dead_letters
        self._outcomes = outcomes
        self._settings = settings
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._room = asyncio.Condition()
        self.documents_in_flight = 0
        self.bytes_in_flight = 0

    async def submit(self, event: ChunkEvent) -> None:
        """Begin to store an event's chunk; returns at once when there is room, else later.

        The event is acknowledged when every record of the chunk is settled. It is stored in a task
        that is created here, so that it inherits Faust's current event: the guard's table belongs
        to the partition of that event.
        """
        size = sum([len(record.value or b"") for record in event.value.records])
        async with self._room:
            await self._room.wait_for(self._has_room)
            self.documents_in_flight += len(event.value.records)
            self.bytes_in_flight += size
        self.add_future(self._store(event, size))

    def _has_room(self) -> bool:
        return (
            self.documents_in_flight < self._settings.in_flight_documents
            and self.bytes_in_flight < self._settings.in_flight_bytes
        )

    async def _store(self, event: ChunkEvent, size: int) -> None:
        chunk = event.value
        await self._settle(chunk)
        event.ack()
        async with self._room:
            self.documents_in_flight -= len(chunk.records)
            self.bytes_in_flight -= size
            self._room.notify_all()

    async def _settle(self, chunk: Chunk) -> None:
        settling = _Settling()
        self._identify(chunk.tp, chunk.records, settling)
        while settling.open:
            fresh, waiting = self._sort_out(chunk.tp.partition, settling)
            settling.open = waiting
            if fresh:
                await self._write(chunk, fresh, settling)
            elif waiting:
                await asyncio.wait({self._under_way[item.id] for item in waiting})
        shortened = await self._dead_letters.write(chunk.tp, settling.set_aside)
        settling.counts.update(
            Key(Step.STORE, Outcome.DEAD_LETTERED, letter.reason) for letter in settling.set_aside
        )
        self._outcomes.add(Step.STORE, settling.counts, len(chunk.records))
        self._outcomes.shortened += shortened

    @staticmethod
    def _identify(tp: TP, records: Iterable[Any], settling: _Settling) -> None:
        """Find out what the records are; the internal topic may hold what others put there."""
        for record in records:
            value = record.value or b""
            try:
                document_id, digest = identify(value)
            except ValueError as error:
                detail = f"not a document: {error}"
                settling.set_aside.append(aside(record, RejectReason.NOT_JSON, detail))
            except Exception as error:  # noqa: BLE001 - no record may end the worker
                settling.set_aside.append(unforeseen(tp, record, error))
            else:
                repair = bool(record.headers) and is_repair(record.headers)
                settling.open.append(_Candidate(document_id, value, record, digest, repair))

    def _sort_out(
        self, partition: int, settling: _Settling
    ) -> tuple[list[_Candidate], list[_Candidate]]:
        """Count what is stored already; split the rest into what to write and what to wait for."""
        known = self._guard.known(partition, [item.digest for item in settling.open])
        fresh: list[_Candidate] = []
        waiting: list[_Candidate] = []
        ids: set[str] = set()
        for item in settling.open:
            if item.digest in known and not item.repair:
                settling.counts[_SEEN] += 1
            elif item.id in ids or item.id in self._under_way:
                waiting.append(item)
            else:
                ids.add(item.id)
                fresh.append(item)
        return fresh, waiting

    async def _write(self, chunk: Chunk, fresh: list[_Candidate], settling: _Settling) -> None:
        """Write and remember; whoever waits for one of these ids goes on after both."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ids = [item.id for item in fresh]
        self._under_way.update(dict.fromkeys(ids, written))
        try:
            results = await self._sink.write(fresh)
            stored = []
            for item, result in zip(fresh, results, strict=True):
                if isinstance(result, Refused):
                    refused = SetAside(item.record, result.reason, result.detail)
                    settling.set_aside.append(refused)
                else:
                    stored.append(item.digest)
            settling.counts[_STORED] += results.count(Settled.STORED)
            settling.counts[_PRESENT] += results.count(Settled.DUPLICATE)
            self._guard.remember(chunk.tp.partition, chunk.first_offset, stored)
        finally:
            for document_id in ids:
                del self._under_way[document_id]
            written.set_result(None)
