"""The worker against a bare `_bulk_docs` loop and a hand-written one, as ratios in one run.

All write the same number of documents of the same size into the same kind of database, one after
the other on the same machine: the bare loop first and once more at the end, since machines drift.
What counts is the worker's rate in shares of the loops', its own CPU for each stored record, and
the database's. What the database's indexes cost is told apart by a bare loop without them.

CPU time is not the same everywhere, nor twice on a machine that others use too. So it is also given
in a unit that anybody can measure: how often `json.loads` reads such a record in that time, as
measured while the worker runs.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import aiohttp
from tqdm import tqdm

from app.couchdb.design_documents import design_documents
from app.routing import Store, TopicRole, route
from app.settings import RoutingSettings
from dev.bench.ground import Ground, bare_database, ground, indexed
from dev.bench.measure import cpu_seconds, peak_megabytes, server
from dev.bench.report import Figure
from dev.services import Services
from dev.traffic import prefill
from dev.traffic.backlog import messages

RECORDS = int(os.environ.get("BENCH_RECORDS", "60000"))
RECORD_BYTES = 1024
REQUEST_DOCUMENTS = 1000
REQUESTS_IN_FLIGHT = 4
POLL_SECONDS = 0.2
REFERENCE_READS = 200
"""`json.loads` at each poll, to find out what it costs now."""


@dataclass(frozen=True)
class Rate:
    """A number of documents and the seconds they took."""

    documents: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds


@dataclass(frozen=True)
class Carried:
    """What a process did that carries records from Kafka, and the resources that it used."""

    rate: Rate
    cpu_seconds: float
    peak_megabytes: float
    reference_microseconds: float
    """`json.loads` of one such record, meanwhile."""

    @property
    def microseconds_per_record(self) -> float:
        """CPU time per record of the whole process: of the worker, both steps, guard and HTTP."""
        return self.cpu_seconds / self.rate.documents * 1e6


class Meter:
    """Reads what the database costs.

    Attributes:
        microseconds: of its CPU for each document, the indexing that follows included; None where
            they do not show.
    """

    microseconds: float | None = None


@contextlib.asynccontextmanager
async def metered(provided: Services, url: str) -> AsyncIterator[Meter]:
    """Read the meter before and after `RECORDS` documents are written and indexed."""
    meter = Meter()
    database = server(provided.couchdb_url)
    before = await database.idle() if database else None
    yield meter
    await indexed(url)
    after = await database.idle() if database and before is not None else None
    if before is not None and after is not None:
        meter.microseconds = (after - before) / RECORDS * 1e6
    else:
        print("The database's CPU does not show: it is elsewhere, or others use it, too.")


def bodies(values: Sequence[bytes], size: int = REQUEST_DOCUMENTS) -> Iterator[bytes]:
    """The `_bulk_docs` bodies that store these messages, so many in each."""
    for part in batched(values, size):
        yield b'{"docs":[' + b",".join(map(document, part)) + b"]}"


def document(message: bytes) -> bytes:
    """The document that the worker makes of a message."""
    routed = route(TopicRole.OTHERS, message, 0, RoutingSettings())
    if not isinstance(routed, Store):
        raise TypeError(f"a message that is not stored: {routed}")
    return routed.document


def batched(values: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """Split into batches of `size`; the last may be shorter."""
    return (values[start : start + size] for start in range(0, len(values), size))


async def write(http: aiohttp.ClientSession, database: str, body: bytes) -> None:
    """Write one of these bodies; raises RuntimeError if a document in it is not written."""
    headers = {"Content-Type": "application/json"}
    async with http.post(f"{database}/_bulk_docs", data=body, headers=headers) as answer:
        answer.raise_for_status()
        entries = await answer.json(content_type=None)
        if not all("rev" in entry for entry in entries):
            raise RuntimeError("a document was not written")


async def bare_loop(database: str) -> Rate:
    """Write prebuilt request bodies in a bare loop, as a baseline."""
    values = [value for _, value in messages(RECORDS, RECORD_BYTES)]
    ready = iter(list(bodies(values)))
    async with aiohttp.ClientSession() as http:

        async def send() -> None:
            for body in ready:
                await write(http, database, body)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(REQUESTS_IN_FLIGHT):
                group.create_task(send())
        return Rate(RECORDS, time.perf_counter() - started)


async def backlog(here: Ground) -> None:
    """Fill the topic."""
    async with here.publisher() as publisher:
        with tqdm(total=RECORDS, unit=" records", desc="backlog") as progress:
            await prefill(publisher, here.topic, RECORDS, RECORD_BYTES, on_progress=progress.update)


async def _measure(pid: int, database: str, name: str) -> Carried:
    """Poll the database rather than the process, so that measuring costs that nothing.

    The clock starts when the first documents are there: how long a process takes to begin is
    another figure.
    """
    _, sample = next(iter(messages(1, RECORD_BYTES)))
    reference = []
    async with aiohttp.ClientSession() as http:
        while not (before := await _stored(http, database)):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(POLL_SECONDS)
        started, cpu, stored = time.perf_counter(), cpu_seconds(pid), before
        with tqdm(total=RECORDS, initial=before, unit=" records", desc=name) as progress:
            while stored < RECORDS:
                await asyncio.sleep(POLL_SECONDS)
                reference.append(_read(sample))
                now = await _stored(http, database)
                progress.update(now - stored)
                stored = now
        return Carried(
            Rate(stored - before, time.perf_counter() - started),
            cpu_seconds(pid) - cpu,
            peak_megabytes(pid),
            sum(reference) / len(reference),
        )


def _read(record: bytes) -> float:
    """CPU time of `json.loads` for one record, in microseconds."""
    for _ in range(REFERENCE_READS):
        json.loads(record)  # not counted: a processor that slept is slow at first
    started = time.process_time()
    for _ in range(REFERENCE_READS):
        json.loads(record)
    return (time.process_time() - started) / REFERENCE_READS * 1e6


async def _stored(http: aiohttp.ClientSession, database: str) -> int:
    async with http.get(database) as answer:
        answer.raise_for_status()
        documents: int = (await answer.json(content_type=None))["doc_count"]
        return max(0, documents - len(design_documents()))


async def _bare(provided: Services) -> tuple[Rate, Meter]:
    async with ground(provided) as here, metered(provided, here.url) as meter:
        return await bare_loop(here.url), meter


async def _without_indexes(provided: Services) -> Meter:
    async with bare_database(provided) as database, metered(provided, database) as meter:
        await bare_loop(database)
    return meter


async def _worker(provided: Services) -> tuple[Carried, Meter]:
    async with ground(provided) as here:
        await backlog(here)
        async with metered(provided, here.url) as meter, here.worker() as process:
            return await _measure(process.pid, here.url, "worker"), meter


async def _simple(provided: Services) -> Carried:
    async with ground(provided) as here:
        await backlog(here)
        async with here.simple_loop() as pid:
            return await _measure(pid, here.url, "simple loop")


async def run(provided: Services) -> list[Figure]:
    """Measure the loop, the worker, the hand-written loop, and the loop again."""
    first, before = await _bare(provided)
    worker, meter = await _worker(provided)
    simple = await _simple(provided)
    second, after = await _bare(provided)
    plain = await _without_indexes(provided)
    bare = Rate(first.documents + second.documents, first.seconds + second.seconds).per_second
    ours, theirs = worker.rate.per_second, simple.rate.per_second
    cpu, reference = worker.microseconds_per_record, worker.reference_microseconds
    return [
        _figure("bare _bulk_docs loop, before", first.per_second, "documents/s"),
        _figure("bare _bulk_docs loop, after", second.per_second, "documents/s"),
        _figure("worker, end to end", ours, "documents/s"),
        _figure("worker in shares of the bare loop", ours / bare, goal="0.97"),
        _figure("simple loop, end to end", theirs, "documents/s"),
        _figure("worker in shares of the simple loop", ours / theirs, goal="1"),
        _figure("worker CPU per record", cpu, "µs", "15"),
        _figure("the same in json.loads of the record", cpu / reference, f"x {reference:.1f} µs"),
        _figure("simple loop CPU per record", simple.microseconds_per_record, "µs"),
        _figure("worker CPU in shares of it", cpu / simple.microseconds_per_record, goal="1.3"),
        _figure("worker memory, peak", worker.peak_megabytes, "MB"),
        *_database((before, after), meter, plain),
    ]


def _database(bare: Sequence[Meter], worker: Meter, plain: Meter) -> list[Figure]:
    """The database's own CPU, as far as it shows."""
    loops = [meter.microseconds for meter in bare if meter.microseconds is not None]
    if not loops:
        return []
    loop = sum(loops) / len(loops)
    figures = [_figure("database CPU per document, bare loop", loop, "µs")]
    if worker.microseconds is not None:
        share = worker.microseconds / loop
        figures.append(_figure("database CPU, worker in shares of it", share, goal="1.02"))
    if plain.microseconds is not None:
        share = 1 - plain.microseconds / loop
        figures.append(_figure("of the bare loop's, for indexes", share * 100, "%"))
    return figures


def _figure(name: str, value: float, unit: str = "", goal: str = "") -> Figure:
    return Figure("throughput", name, value, unit, goal)
