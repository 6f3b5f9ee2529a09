"""`make bench`: the worker against a bare `_bulk_docs` loop, as ratios in one run.

Both write the same number of documents of the same size into the same kind of database, one after
the other on the same machine: the loop first and once more at the end, since machines drift. What
counts is the worker's rate in shares of the loop's, and its own CPU for each stored record.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaProducer
from tqdm import tqdm

from app.couchdb import Database
from app.kafka import bootstrap_servers
from app.settings import DatabaseSettings
from dev.admin import admin
from dev.services import Services, services
from dev.worker import Worker, database_settings

RECORDS = int(os.environ.get("BENCH_RECORDS", "60000"))
RECORD_BYTES = 1024
REQUEST_DOCUMENTS = 1000
REQUESTS_IN_FLIGHT = 4
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Rate:
    """Documents written in a time."""

    documents: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Documents per second."""
        return self.documents / self.seconds


@dataclass(frozen=True)
class WorkerRun:
    """What the worker did and took."""

    rate: Rate
    cpu_seconds: float
    peak_megabytes: float

    @property
    def microseconds_per_record(self) -> float:
        """CPU of the worker's process, both steps, guard and HTTP included."""
        return self.cpu_seconds / self.rate.documents * 1e6


def activation(number: int) -> dict[str, Any]:
    """A record of about a kilobyte, as a blocking action leaves it."""
    record: dict[str, Any] = {
        "activationId": f"{number * 2654435761 % 2**64:016x}{number:016x}",
        "annotations": [
            {"key": "path", "value": "guest/hello"},
            {"key": "waitTime", "value": 31},
            {"key": "kind", "value": "nodejs:20"},
            {"key": "timeout", "value": False},
            {
                "key": "limits",
                "value": {"concurrency": 1, "logs": 10, "memory": 256, "timeout": 60000},
            },
        ],
        "duration": 87,
        "end": 1767325445210 + number,
        "logs": [],
        "name": "hello",
        "namespace": "guest",
        "publish": False,
        "response": {"result": {"payload": ""}, "size": 2, "statusCode": 0},
        "start": 1767325445123 + number,
        "subject": "guest",
        "version": "0.0.1",
    }
    missing = RECORD_BYTES - len(json.dumps(record, separators=(",", ":")))
    record["response"]["result"]["payload"] = f"{number:x}".ljust(max(0, missing), "x")
    return record


def message(number: int) -> bytes:
    """The record as the Kafka activation store sends it."""
    transid = ["Zb3Hq1XkT0fWm8aL5rYc2NvUe7PdGs4J", 1767325444990]
    result = {"response": activation(number), "transid": transid}
    return json.dumps(result, separators=(",", ":")).encode()


def document(number: int) -> bytes:
    """The record as it is stored."""
    record = activation(number)
    added = {
        "_id": f"guest/{record['activationId']}",
        "entityType": "activation",
        "updated": 1767325446000,
    }
    return json.dumps({**record, **added}, separators=(",", ":")).encode()


def requests() -> Iterator[bytes]:
    """The bodies of all bulk requests."""
    for start in range(0, RECORDS, REQUEST_DOCUMENTS):
        numbers = range(start, min(start + REQUEST_DOCUMENTS, RECORDS))
        yield b'{"docs":[' + b",".join(map(document, numbers)) + b"]}"


async def bare_loop(couchdb_url: str, name: str) -> Rate:
    """Write everything by hand, from bodies that are ready."""
    await _prepare_database(couchdb_url, name)
    bodies = iter(list(requests()))
    async with aiohttp.ClientSession() as http:

        async def send() -> None:
            for body in bodies:
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


async def _prepare_database(couchdb_url: str, name: str) -> None:
    """Create it as the worker does, design documents included: they cost the database time."""
    given = {
        f"PERSISTER_{key.upper()}": value for key, value in database_settings(couchdb_url).items()
    }
    database = Database(DatabaseSettings(**given, PERSISTER_DATABASE=name))
    await database.connect()
    try:
        await database.prepare()
    finally:
        await database.close()


async def prefill(kafka_url: str, topic: str) -> None:
    """Leave a backlog in a topic of one partition, as OpenWhisk's have."""
    async with admin(kafka_url) as kafka:
        await kafka.create_topic(topic)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(kafka_url), max_batch_size=512 * 1024, linger_ms=5
    )
    await producer.start()
    try:
        for number in range(RECORDS):
            await producer.send(topic, message(number))
        await producer.flush()
    finally:
        await producer.stop()


async def worker_run(provided: Services, prefix: str, database: str) -> WorkerRun:
    """Let a worker store the backlog."""
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
            return await _measure(worker)
        finally:
            await asyncio.to_thread(worker.stop)


async def _measure(worker: Worker) -> WorkerRun:
    started, cpu = time.perf_counter(), _cpu_seconds(worker.pid)
    before = stored = _stored(worker)
    with tqdm(total=RECORDS, initial=before, unit=" records", desc="worker") as progress:
        while stored < RECORDS:
            await asyncio.sleep(POLL_SECONDS)
            now = await asyncio.to_thread(_stored, worker)
            progress.update(now - stored)
            stored = now
    return WorkerRun(
        Rate(stored - before, time.perf_counter() - started),
        _cpu_seconds(worker.pid) - cpu,
        _peak_megabytes(worker.pid),
    )


def _stored(worker: Worker) -> int:
    return int(worker.status()["outcomes"]["store"].get("stored", 0))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM")


async def run(provided: Services) -> None:
    """Measure and print."""
    name = f"bench{os.getpid()}"
    await prefill(provided.kafka_url, f"{name}-completed-others")
    first = await bare_loop(provided.couchdb_url, f"{name}-bare-1")
    worker = await worker_run(provided, f"{name}-", f"{name}-worker")
    second = await bare_loop(provided.couchdb_url, f"{name}-bare-2")
    bare = Rate(first.documents + second.documents, first.seconds + second.seconds)
    ratio = worker.rate.per_second / bare.per_second
    print(
        f"\n{RECORDS} records of {RECORD_BYTES} bytes\n"
        f"bare _bulk_docs loop   {first.per_second:8.0f} and {second.per_second:.0f} documents/s\n"
        f"worker, end to end     {worker.rate.per_second:8.0f} documents/s\n"
        f"ratio                  {ratio:8.2f}\n"
        f"worker CPU per record  {worker.microseconds_per_record:8.1f} microseconds\n"
        f"worker memory, peak    {worker.peak_megabytes:8.0f} MB"
    )


def main() -> None:
    """Run against given services, or own ones."""
    with services() as provided:
        asyncio.run(run(provided))


if __name__ == "__main__":
    main()
