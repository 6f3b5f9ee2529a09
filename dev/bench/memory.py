"""How much memory a worker takes at worst, and whether large records delay small ones."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from uuid import uuid4

import aiohttp

from dev.bench.ground import ground
from dev.bench.latency import Flow, watching
from dev.bench.measure import peak_megabytes, percentile
from dev.bench.report import Figure
from dev.bench.throughput import bodies, write
from dev.process import HOST, free_port
from dev.services import Services
from dev.traffic import prefill
from dev.traffic.backlog import messages
from dev.traffic.pace import Pace
from dev.worker import Worker
from openwhisk.store import ensure_store_topic

LARGE_BYTES = 5 * 1024 * 1024
LARGE = 200
LARGE_PER_SECOND = 2.0
"""A CouchDB of one core takes four or five, if it does nothing else."""

SMALL_PER_SECOND = 50.0

TOPICS = 100
BACKLOG_BYTES = 1024**3
BACKLOG_RECORD_BYTES = 4096
POLL_SECONDS = 1.0


async def large(provided: Services) -> list[Figure]:
    """Records of 5 MB among small ones, at a rate that the database keeps up with."""
    flow = Flow()
    async with (
        ground(provided) as here,
        here.worker() as worker,
        here.publisher() as publisher,
        watching(here.url, flow),
    ):
        seconds = LARGE / LARGE_PER_SECOND
        small, big = Flow(), Flow()
        few = messages(int(SMALL_PER_SECOND * seconds))

        def noted_in(sent: Flow) -> Callable[[str, bytes], Coroutine[None, None, None]]:
            async def send(id_: str, message: bytes) -> None:
                sent.sends(id_)
                await publisher.publish(here.topic, message)

            return send

        async with asyncio.TaskGroup() as group:
            group.create_task(_at_rate(few, SMALL_PER_SECOND, noted_in(small)))
            group.create_task(_at_rate(_large(LARGE), LARGE_PER_SECOND, noted_in(big)))
        flow.sent = small.sent | big.sent
        await flow.complete()
        peak = peak_megabytes(worker.pid)
    waited = [flow.arrived[id_] - at for id_, at in small.sent.items()]
    alone = await _written_alone(provided)
    name = f"{LARGE} records of 5 MB: "
    return [
        Figure("large", name + "peak", peak, "MB", "500"),
        Figure("large", name + "small ones, p50", percentile(waited, 50) * 1e3, "ms"),
        Figure("large", name + "small ones, p99", percentile(waited, 99) * 1e3, "ms", "1000"),
        Figure("large", name + "without a worker, p50", percentile(alone, 50) * 1e3, "ms"),
        Figure("large", name + "without a worker, p99", percentile(alone, 99) * 1e3, "ms"),
    ]


async def _written_alone(provided: Services) -> list[float]:
    """How long each small document takes when the same are written without Kafka and worker.

    Whatever they wait then is the database's: it indexes the large ones meanwhile.
    """
    waited: list[float] = []
    async with ground(provided) as here, aiohttp.ClientSession() as http:

        async def write_one(_: str, message: bytes) -> None:
            await write(http, here.url, *bodies([message]))

        async def write_small(id_: str, message: bytes) -> None:
            started = time.perf_counter()
            await write_one(id_, message)
            waited.append(time.perf_counter() - started)

        few = messages(int(SMALL_PER_SECOND * LARGE / LARGE_PER_SECOND))
        async with asyncio.TaskGroup() as group:
            group.create_task(_at_rate(few, SMALL_PER_SECOND, write_small))
            group.create_task(_at_rate(_large(LARGE), LARGE_PER_SECOND, write_one))
    return waited


async def _at_rate(
    records: Iterable[tuple[str, bytes]],
    rate: float,
    send: Callable[[str, bytes], Coroutine[None, None, object]],
) -> None:
    """Begin to send so many records a second, whether those before have been sent or not."""
    pace = Pace(rate)
    async with asyncio.TaskGroup() as group:
        for id_, message in records:
            await pace.wait()
            group.create_task(send(id_, message))


def _large(count: int) -> Iterator[tuple[str, bytes]]:
    """As `messages`, from one text: five megabytes of words take their time."""
    ((first, message),) = messages(1, LARGE_BYTES)
    for _ in range(count):
        id_ = uuid4().hex
        yield id_, message.replace(first.encode(), id_.encode())


async def away(provided: Services) -> list[Figure]:
    """A backlog in many topics, while the database is away: all of it is routed, none is stored."""
    records = BACKLOG_BYTES // BACKLOG_RECORD_BYTES // TOPICS
    nowhere = replace(provided, couchdb_url=f"http://{HOST}:{free_port()}")
    async with ground(provided) as here:
        async with here.publisher() as publisher:
            for number in range(TOPICS):
                topic = f"{here.prefix}completed{number}"
                await ensure_store_topic(publisher, topic, here.kafka)
                await prefill(publisher, topic, records, BACKLOG_RECORD_BYTES, seed=number)
        here.provided = nowhere
        async with here.worker(waits=False) as worker:
            await asyncio.to_thread(_wait_until_routed, worker, records * TOPICS)
            peak = peak_megabytes(worker.pid)
    name = f"1 GB in {TOPICS} topics, database away: peak"
    return [Figure("memory", name, peak, "MB", "350")]


def _wait_until_routed(worker: Worker, records: int) -> None:
    while _routed(worker) < records:
        time.sleep(POLL_SECONDS)


def _routed(worker: Worker) -> int:
    """How many records it has routed; none while it starts. Raises RuntimeError when it ended."""
    if not worker.running:
        raise RuntimeError(f"the worker ended:\n{worker.log()}")
    try:
        return int(worker.status()["outcomes"]["route"]["consumed"])
    except OSError:
        return 0
