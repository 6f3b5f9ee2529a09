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
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from tqdm import tqdm

from app.couchdb import Database
from app.couchdb.design_documents import design_documents
from app.routing import Store, TopicRole, route
from app.settings import DatabaseSettings, KafkaSettings, RoutingSettings
from dev.bench.measure import cpu_seconds, peak_megabytes
from dev.bench.report import Figure
from dev.services import Services
from dev.traffic import prefill
from dev.traffic.backlog import messages
from dev.worker import Worker, database_settings
from openwhisk.publisher import Publisher
from openwhisk.store import ensure_store_topic

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


async def bare_loop(couchdb_url: str, name: str) -> Rate:
    """Write prebuilt request bodies in a bare loop, as a baseline."""
    await prepare_database(couchdb_url, name)
    values = [value for _, value in messages(RECORDS, RECORD_BYTES)]
    ready = iter(list(bodies(values)))
    async with aiohttp.ClientSession() as http:

        async def send() -> None:
            for body in ready:
                async with http.post(
                    f"{couchdb_url}/{name}/_bulk_docs",
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


async def prepare_database(url: str, name: str) -> None:
    """Create the database as the worker does, design documents included, since they slow writes."""
    given = {f"PERSISTER_{key.upper()}": value for key, value in database_settings(url).items()}
    settings = DatabaseSettings.model_validate({**given, "PERSISTER_DATABASE": name})
    database = Database(settings)
    await database.connect()
    try:
        await database.prepare()
    finally:
        await database.close()


async def backlog(kafka_url: str, topic: str) -> None:
    """Fill a topic with one partition, like OpenWhisk's own."""
    settings = KafkaSettings.model_validate({"PERSISTER_KAFKA_URL": kafka_url})
    publisher = Publisher(settings)
    await publisher.start()
    try:
        await ensure_store_topic(publisher, topic, settings)
        with tqdm(total=RECORDS, unit=" records", desc="backlog") as progress:
            await prefill(publisher, topic, RECORDS, RECORD_BYTES, on_progress=progress.update)
    finally:
        await publisher.stop()


async def worker_run(provided: Services, prefix: str, database: str) -> WorkerRun:
    """Start a worker and measure it storing the backlog."""
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(
            Path(folder),
            provided,
            topic_prefix=prefix,
            app_id=f"{prefix}persister",
            database=database,
        )
        await asyncio.to_thread(worker.start)
        try:
            return await _measure(worker, f"{provided.couchdb_url}/{database}")
        finally:
            await asyncio.to_thread(worker.stop)


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
    name = f"bench{time.time_ns()}"
    await backlog(provided.kafka_url, f"{name}-completed-others")
    first = await bare_loop(provided.couchdb_url, f"{name}-bare-1")
    worker = await worker_run(provided, f"{name}-", f"{name}-worker")
    second = await bare_loop(provided.couchdb_url, f"{name}-bare-2")
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
