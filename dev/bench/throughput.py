"""The worker against a bare `_bulk_docs` loop, as ratios in one run.

Both write the same number of documents of the same size into the same kind of database, one after
the other on the same machine: the loop first and once more at the end, since machines drift. What
counts is the worker's rate in shares of the loop's, and its own CPU for each stored record.

CPU time is not the same everywhere, nor twice on a machine that others use too. So it is also given
in a unit that anybody can measure: how often `json.loads` reads such a record in that time, as
measured while the worker runs.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aiohttp
from tqdm import tqdm

from app.couchdb.design_documents import design_documents
from app.routing import Store, TopicRole, route
from app.settings import RoutingSettings
from dev.bench.ground import Ground, ground
from dev.bench.measure import cpu_seconds, peak_megabytes
from dev.bench.report import Figure
from dev.services import Services
from dev.traffic import prefill
from dev.traffic.backlog import messages
from dev.worker import Worker

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
class WorkerRun:
    """What a worker did and the resources it used."""

    rate: Rate
    cpu_seconds: float
    peak_megabytes: float
    reference_microseconds: float
    """`json.loads` of one such record, meanwhile."""

    @property
    def microseconds_per_record(self) -> float:
        """CPU time per record of the whole worker process: both steps, guard and HTTP."""
        return self.cpu_seconds / self.rate.documents * 1e6


def bodies(values: Sequence[bytes]) -> Iterator[bytes]:
    """The `_bulk_docs` bodies that store these messages."""
    for part in batched(values, REQUEST_DOCUMENTS):
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


async def bare_loop(database: str) -> Rate:
    """Write prebuilt request bodies in a bare loop, as a baseline."""
    values = [value for _, value in messages(RECORDS, RECORD_BYTES)]
    ready = iter(list(bodies(values)))
    async with aiohttp.ClientSession() as http:

        async def send() -> None:
            for body in ready:
                async with http.post(
                    f"{database}/_bulk_docs",
                    data=body,
                    headers={"Content-Type": "application/json"},
                ) as answer:
                    answer.raise_for_status()
                    entries = await answer.json(content_type=None)
                    if not all("rev" in entry for entry in entries):
                        raise RuntimeError("a document was not written")

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


async def _measure(worker: Worker, database: str) -> WorkerRun:
    """Poll the database rather than the worker, so that measuring costs the worker nothing."""
    _, sample = next(iter(messages(1, RECORD_BYTES)))
    reference = []
    async with aiohttp.ClientSession() as http:
        started, cpu = time.perf_counter(), cpu_seconds(worker.pid)
        before = stored = await _stored(http, database)
        with tqdm(total=RECORDS, initial=before, unit=" records", desc="worker") as progress:
            while stored < RECORDS:
                await asyncio.sleep(POLL_SECONDS)
                reference.append(_read(sample))
                now = await _stored(http, database)
                progress.update(now - stored)
                stored = now
        return WorkerRun(
            Rate(stored - before, time.perf_counter() - started),
            cpu_seconds(worker.pid) - cpu,
            peak_megabytes(worker.pid),
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


async def run(provided: Services) -> list[Figure]:
    """Measure the loop, the worker, and the loop again."""
    async with ground(provided) as here:
        first = await bare_loop(here.url)
    async with ground(provided) as here:
        await backlog(here)
        async with here.worker() as process:
            worker = await _measure(process, here.url)
    async with ground(provided) as here:
        second = await bare_loop(here.url)
    bare = Rate(first.documents + second.documents, first.seconds + second.seconds)
    ratio = worker.rate.per_second / bare.per_second
    cpu, reference = worker.microseconds_per_record, worker.reference_microseconds
    return [
        _figure("bare _bulk_docs loop, before", first.per_second, "documents/s"),
        _figure("bare _bulk_docs loop, after", second.per_second, "documents/s"),
        _figure("worker, end to end", worker.rate.per_second, "documents/s"),
        _figure("worker in shares of the bare loop", ratio, goal="0.97"),
        _figure("worker CPU per record", cpu, "µs", "15"),
        _figure("the same in json.loads of the record", cpu / reference, f"x {reference:.1f} µs"),
        _figure("worker memory, peak", worker.peak_megabytes, "MB"),
    ]


def _figure(name: str, value: float, unit: str = "", goal: str = "") -> Figure:
    return Figure("throughput", name, value, unit, goal)
