"""How soon a worker starts, and what idling and duplicates cost."""

import asyncio
import sys
import time

from dev.bench.ground import Ground, ground
from dev.bench.latency import Flow, watching
from dev.bench.measure import cpu_seconds
from dev.bench.report import Figure
from dev.services import Services
from dev.traffic import prefill
from dev.traffic.backlog import messages
from dev.worker import Worker
from openwhisk.store import ensure_store_topic

IDLE_SECONDS = 20.0
SETTLING_SECONDS = 5.0
POLL_SECONDS = 0.5
REMEMBERED = 1_000_000
"""Records that the guard of a worker knows when it starts."""

TWICE = 20_000
"""Records that are sent on two topics."""


async def run(provided: Services) -> list[Figure]:
    """Measure one after the other."""
    async with ground(provided) as here:
        seconds = await first_record(here)
        share = await idle(here)
    async with ground(provided) as here:
        full = await first_record_of_many(here)
    async with ground(provided) as here:
        sent = await twice(here)
    return [
        Figure("worker", "start to first record stored", seconds, "s", "2"),
        Figure("worker", f"the same, {REMEMBERED:,} remembered", full, "s", "5"),
        Figure("worker", "CPU while idle", share * 100, "% of a core", "0.5"),
        Figure("worker", "documents sent for each record that comes twice", sent, "", "1.01"),
    ]


async def first_record(here: Ground, remembered: int = 0) -> float:
    """Seconds from starting the process until what has waited is in the database.

    Args:
        here: where.
        remembered: records that the guard must know by then.
    """
    ((id_, message),) = messages(1, seed=time.time_ns())
    async with here.publisher() as publisher:
        await publisher.publish(here.topic, message)
    flow = Flow(sent={id_: 0.0})
    async with watching(here.url, flow):
        started = time.time()
        async with here.worker() as worker:
            await flow.complete()
            status = await asyncio.to_thread(worker.status)
            known = sum(status["guard"]["remembered"].values())
            if known < remembered:
                raise RuntimeError(f"the guard knows {known} of {remembered} records")
    return flow.arrived[id_] - started


async def first_record_of_many(here: Ground) -> float:
    """The same for a worker whose guard remembers what others have stored."""
    async with here.worker() as worker:  # makes the topics
        environment = worker.env
    filling = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.bench.remembered", str(REMEMBERED)), env=environment
    )
    if await filling.wait():
        raise RuntimeError("the guard's table cannot be filled")
    return await first_record(here, remembered=REMEMBERED)


async def idle(here: Ground) -> float:
    """CPU of a worker that waits for records, in shares of a core."""
    async with here.worker() as worker:
        await asyncio.sleep(SETTLING_SECONDS)
        before = cpu_seconds(worker.pid)
        await asyncio.sleep(IDLE_SECONDS)
        return (cpu_seconds(worker.pid) - before) / IDLE_SECONDS


async def twice(here: Ground) -> float:
    """Documents that the database was sent for each that is there."""
    other = f"{here.prefix}completed0"
    async with here.publisher() as publisher:
        await ensure_store_topic(publisher, other, here.kafka)
        for topic in (here.topic, other):
            await prefill(publisher, topic, TWICE)
    async with here.worker() as worker:
        while True:
            settled, sent = await asyncio.to_thread(_settled_and_sent, worker)
            if settled >= 2 * TWICE:
                return sent / TWICE
            await asyncio.sleep(POLL_SECONDS)


def _settled_and_sent(worker: Worker) -> tuple[int, int]:
    """Documents that were settled, and those of them that the database was asked about."""
    status = worker.status()
    database = status["database"]
    sent = database["documents_written"] + database["conflicts_read_back"]
    return status["outcomes"]["store"]["consumed"], sent
