"""What observability costs: for each record, and for each request to the worker's endpoint."""

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import aiohttp
from aiokafka.record.default_records import DefaultRecord
from faust.types import TP

from app.kafka.delivery import Chunk
from app.monitoring.activity import Watched
from app.monitoring.latency import Latency
from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.routing import Store, route
from app.settings import RoutingSettings
from app.storing.sink import Document
from dev.bench.ground import Ground, ground
from dev.bench.report import Figure
from dev.paths import PROJECT
from dev.services import Services
from dev.traffic.backlog import messages
from models.roles import TopicRole
from openwhisk.store import ensure_store_topic

TOPICS = 100
PATHS = {"/": "page", "/status": "/status", "/metrics": "/metrics"}
QUESTIONS = 30

CHUNK = 500
"""Records."""

NOW = 1_767_325_446_000
"""Epoch millis: the timestamp of every record here."""

ROUNDS = 200
STARTS = 5


async def run(provided: Services) -> list[Figure]:
    """Measure one after the other."""
    figures = [*per_record(), *starts()]
    async with ground(provided) as here:
        return figures + await pages(here)


def per_record() -> list[Figure]:
    """Microseconds of CPU a record, in both steps together."""
    documents = [_document(id_, message) for id_, message in messages(CHUNK)]
    records = [
        DefaultRecord(offset, NOW, 0, None, document.body, [])
        for offset, document in enumerate(documents)
    ]
    chunk = Chunk(TP("documents", 0), records)
    outcomes, latency = Outcomes(), Latency("documents")
    counted = {
        Step.ROUTE: Counter({Key(Step.ROUTE, Outcome.ROUTED): CHUNK}),
        Step.STORE: Counter({Key(Step.STORE, Outcome.STORED): CHUNK}),
    }
    activity = Watched(activity=True, namespaces=())

    def metrics() -> None:
        for step, counts in counted.items():
            outcomes.add(step, counts, CHUNK)
            latency.finished(chunk)

    return [
        Figure("insight", "metrics, a record", _micros(metrics), "µs", "1"),
        Figure(
            "insight",
            "activity, a record",
            _micros(lambda: activity.stored(documents)),
            "µs",
            "0.5",
        ),
    ]


def _document(id_: str, message: bytes) -> Document:
    decided = route(TopicRole.OTHERS, message, NOW, RoutingSettings())
    assert isinstance(decided, Store)  # noqa: S101 - they are valid
    return Document(id_, decided.document)


def starts() -> list[Figure]:
    """Seconds of CPU that commands take which need nothing but themselves."""
    return [
        Figure("insight", f"persister {argument}", _seconds(argument), "s", "1")
        for argument in ("--version", "config")
    ]


async def pages(here: Ground) -> list[Figure]:
    """Milliseconds until an answer is complete."""
    async with here.publisher() as publisher:
        for number in range(TOPICS):
            await ensure_store_topic(publisher, f"{here.prefix}completed{number}", here.kafka)
    async with here.worker() as worker, aiohttp.ClientSession(worker.url) as http:
        # It happens in another process.
        while len((await asyncio.to_thread(worker.status))["topics"]) < TOPICS:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        return [
            Figure("insight", f"{name}, {TOPICS} topics", await _asked(http, path), "ms", "50")
            for path, name in PATHS.items()
        ]


async def _asked(http: aiohttp.ClientSession, path: str) -> float:
    taken = []
    for _ in range(QUESTIONS):
        began = time.perf_counter()
        async with http.get(path) as answer:
            answer.raise_for_status()
            await answer.read()
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.05)
    return statistics.median(taken) * 1000


def _micros(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best / CHUNK * 1e6


def _seconds(argument: str) -> float:
    taken = []
    for _ in range(STARTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "app.commands.main", argument]
        subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken)
