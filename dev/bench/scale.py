"""What a record costs with one, two and four workers on eight partitions.

They share a topic that is full before they begin: they are frozen while it is filled, with their
partitions assigned, so that neither starting nor a rebalance is measured. Their database takes
everything at once (`sinkless`).
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from app.kafka.producer import Outgoing, open_producer
from app.kafka.topics import store_topic
from dev.bench.ground import Ground, ground
from dev.bench.measure import cpu_seconds, server
from dev.bench.report import Figure
from dev.services import Services
from dev.traffic.backlog import messages
from dev.worker import Worker

RECORDS = 480_000
"""So many that what a worker does once, when it is thawed, does not count."""

AT_ONCE = 80_000
RECORD_BYTES = 1024
PARTITIONS = 8
WORKERS = (1, 2, 4)
POLL_SECONDS = 0.2
SESSION_SECONDS = 30
"""Kafka's patience with a worker that is frozen."""


@dataclass(frozen=True)
class Shared:
    """What some workers did together.

    Attributes:
        rate: records per second.
        cpu: of all of them, seconds for each record.
        busy: cores that they and Kafka used; None where Kafka is on another machine.
    """

    rate: float
    cpu: float
    busy: float | None


async def run(provided: Services) -> list[Figure]:
    """Measure each number of workers."""
    measured = {number: await share(provided, number) for number in WORKERS}
    alone = measured[1]
    figures = [_figure("CPU per record, 1 worker", alone.cpu * 1e6, "µs")]
    for number in WORKERS[1:]:
        more = (measured[number].cpu / alone.cpu - 1) * 100
        figures.append(_figure(f"the same, {number} workers: more by", more, "%", "10"))
    rates = [measured[number].rate / alone.rate for number in WORKERS[1:]]
    for number, rate in zip(WORKERS[1:], rates, strict=True):
        name = f"rate of {number} workers on {os.cpu_count()} cores, in shares of 1"
        figures.append(_figure(name, rate))
    for number, shared in measured.items():
        if shared.busy is not None:
            figures.append(_figure(f"cores that {number} and Kafka keep busy", shared.busy))
    return figures


async def share(provided: Services, number: int) -> Shared:
    """Have so many workers share a topic."""
    async with ground(provided) as here, contextlib.AsyncExitStack() as stack:
        topic = f"{here.prefix}completed0"
        async with here.publisher() as publisher:
            wanted = replace(store_topic(topic, here.kafka), partitions=PARTITIONS)
            await publisher.ensure_topic(wanted)
        workers = await asyncio.gather(
            *(
                stack.enter_async_context(
                    here.worker(
                        application="dev.bench.sinkless",
                        partitions=PARTITIONS,
                        session_timeout=SESSION_SECONDS,
                    )
                )
                for _ in range(number)
            )
        )
        await _until_each_has(workers, PARTITIONS // number)
        with _frozen(workers):
            await _fill(here, topic)
        kafka = server(provided.kafka_url)
        started, cpu = time.perf_counter(), _cpu(workers)
        kafka_cpu = kafka.cpu_seconds() if kafka else 0.0
        await _until_stored(workers)
        seconds, used = time.perf_counter() - started, _cpu(workers) - cpu
        busy = (used + kafka.cpu_seconds() - kafka_cpu) / seconds if kafka else None
        return Shared(RECORDS / seconds, used / RECORDS, busy)


async def _fill(here: Ground, topic: str) -> None:
    """Put the same number of records into each partition."""
    numbered = enumerate(messages(RECORDS, RECORD_BYTES))
    async with open_producer(here.kafka) as producer:
        while some := [
            Outgoing(None, value, partition=number % PARTITIONS)
            for number, (_, value) in islice(numbered, AT_ONCE)
        ]:
            await producer.send(topic, some)


@contextlib.contextmanager
def _frozen(workers: Sequence[Worker]) -> Iterator[None]:
    for worker in workers:
        os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in workers:
            os.kill(worker.pid, signal.SIGCONT)


def _cpu(workers: Sequence[Worker]) -> float:
    return sum(cpu_seconds(worker.pid) for worker in workers)


async def _until_each_has(workers: Sequence[Worker], partitions: int) -> None:
    """Wait until each guards as many partitions of the internal topic."""
    while True:
        states = await _states(workers)
        if all(len(state["guard"]["remembered"]) == partitions for state in states):
            return
        await asyncio.sleep(POLL_SECONDS)


async def _until_stored(workers: Sequence[Worker]) -> None:
    while True:
        states = await _states(workers)
        if sum(state["outcomes"]["store"]["consumed"] for state in states) >= RECORDS:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _states(workers: Sequence[Worker]) -> list[dict[str, Any]]:
    return [await asyncio.to_thread(worker.status) for worker in workers]


def _figure(name: str, value: float, unit: str = "", goal: str = "") -> Figure:
    return Figure("scale", name, value, unit, goal)
