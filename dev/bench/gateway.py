"""What the gateway takes, and what it adds to writes and reads.

Writes come as OpenWhisk sends them, over connections that stay open: batches of 200 records in
`_bulk_docs`, or one record in each PUT. The gateway is one process, so it has one core; on a small
machine it shares that with Kafka and with who sends. So the records that a core takes are told from
the gateway's own CPU, too.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from dev.bench.ground import Ground, ground
from dev.bench.measure import cpu_seconds, percentile
from dev.bench.report import Figure
from dev.bench.throughput import bodies, document
from dev.gateway import Gateway, settings
from dev.services import Services
from dev.traffic.backlog import NAMESPACE, messages
from dev.traffic.pace import Pace

RECORD_BYTES = 1024
BATCH = 200
"""Documents in a request of OpenWhisk's batcher, at most."""

GOAL = 5000
"""Records per second of one core."""

BATCHED, SINGLE = 40_000, 15_000
"""Records that are sent as fast as they are taken."""

BATCHES_AT_ONCE, SINGLE_AT_ONCE = 8, 64
PACED_SECONDS = 8.0
READS_PER_SECOND = 50.0
READABLE = 500
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """A request for something in the database."""

    method: str
    path: str
    body: bytes | None = None
    records: int = 0


class Client:
    """Sends requests to a gateway or to a database, and measures how long they take.

    Args:
        http: keeps the connections.
        server: its address, with credentials.
        database: its name.
    """

    def __init__(self, http: aiohttp.ClientSession, server: str, database: str) -> None:
        self._http = http
        self._database = f"{server}/{quote(database, safe='')}"

    async def send(self, request: Request) -> float:
        """Seconds until the answer to a request was complete."""
        started = time.perf_counter()
        async with self._http.request(
            request.method,
            URL(f"{self._database}/{request.path}", encoded=True),
            data=request.body,
            headers=JSON,
        ) as answer:
            answer.raise_for_status()
            await answer.read()
        return time.perf_counter() - started

    async def at_once(self, requests: Iterable[Request], connections: int) -> None:
        """Send requests one after the other on each of some connections."""
        left = iter(requests)

        async def send() -> None:
            for request in left:
                await self.send(request)

        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(send())

    async def paced(self, requests: Iterable[Request], per_second: float) -> list[float]:
        """Send requests at a rate, whether or not earlier ones are answered."""
        pace = Pace(per_second)
        sending = []
        async with asyncio.TaskGroup() as group:
            for request in requests:
                await pace.wait()
                sending.append(group.create_task(self.send(request)))
        return [task.result() for task in sending]


@dataclass(frozen=True)
class Taken:
    """What the gateway took, as fast as it could.

    Attributes:
        rate: records per second.
        cpu: of the gateway, seconds for each record.
    """

    rate: float
    cpu: float


async def take(pid: int, client: Client, requests: Sequence[Request], connections: int) -> Taken:
    """Send requests as fast as they are answered; the first on each connection do not count."""
    await client.at_once(requests[:connections], connections)
    counted = requests[connections:]
    records = sum(request.records for request in counted)
    started, cpu = time.perf_counter(), cpu_seconds(pid)
    await client.at_once(counted, connections)
    return Taken(records / (time.perf_counter() - started), (cpu_seconds(pid) - cpu) / records)


def batches(records: int) -> list[Request]:
    """Writes as OpenWhisk's batcher sends them."""
    return [
        Request("POST", "_bulk_docs", body, BATCH)
        for body in bodies([value for _, value in _new(records)], BATCH)
    ]


def singles(records: int) -> list[Request]:
    """Writes of one record each."""
    return [Request("PUT", _path(id_), document(value), 1) for id_, value in _new(records)]


def _new(records: int) -> Iterator[tuple[str, bytes]]:
    return messages(records, RECORD_BYTES, seed=time.time_ns())


def _path(activation_id: str) -> str:
    return quote(f"{NAMESPACE}/{activation_id}", safe="")


@contextlib.asynccontextmanager
async def gateway(here: Ground) -> AsyncIterator[Gateway]:
    """A gateway to a place's database and topics."""
    provided = here.provided
    environment = settings(provided.kafka_url, provided.couchdb_url, here.prefix, here.database)
    credentials = urlsplit(provided.couchdb_url).netloc.rpartition("@")[0]
    with tempfile.TemporaryDirectory() as folder:
        process = Gateway(Path(folder), environment, credentials)
        await asyncio.to_thread(process.start)
        try:
            yield process
        finally:
            await asyncio.to_thread(process.stop)


async def run(provided: Services) -> list[Figure]:
    """Measure what it takes, then what it adds at half of what it should take."""
    async with (
        ground(provided) as here,
        gateway(here) as process,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        through = Client(http, process.url, here.database)
        direct = Client(http, provided.couchdb_url, here.database)
        batched = await take(process.pid, through, batches(BATCHED), BATCHES_AT_ONCE)
        single = await take(process.pid, through, singles(SINGLE), SINGLE_AT_ONCE)
        figures = [
            *_taken("batches of 200", batched, str(GOAL)),
            *_taken("single PUTs", single),
        ]
        return [*figures, *await _added(through, direct)]


async def _added(through: Client, direct: Client) -> list[Figure]:
    """How much longer writes and reads take than without the gateway.

    Reads are measured both ways while the gateway is written to.
    """
    rate = GOAL / 2 / BATCH
    count = int(GOAL / 2 * PACED_SECONDS)
    readable = list(_new(READABLE))
    await direct.at_once(
        [Request("POST", "_bulk_docs", body) for body in bodies([value for _, value in readable])],
        1,
    )
    reads = [
        Request("GET", _path(readable[number % READABLE][0]))
        for number in range(int(READS_PER_SECOND * PACED_SECONDS))
    ]
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(through.paced(batches(count), rate))
        reading = group.create_task(through.paced(reads, READS_PER_SECOND))
        reading_directly = group.create_task(direct.paced(reads, READS_PER_SECOND))
    writing_directly = await direct.paced(batches(count), rate)
    return [
        *_compared("write of 200", writing.result(), writing_directly, "50"),
        *_compared("read", reading.result(), reading_directly.result(), "5"),
    ]


def _taken(name: str, taken: Taken, goal: str = "") -> list[Figure]:
    return [
        _figure(f"{name}, taken", taken.rate, "records/s"),
        _figure(f"{name}, CPU per record", taken.cpu * 1e6, "µs"),
        _figure(f"{name}, what a core takes", 1 / taken.cpu, "records/s", goal),
    ]


def _compared(
    name: str, through: Sequence[float], directly: Sequence[float], goal: str
) -> list[Figure]:
    ours, theirs = (percentile(waited, 99) * 1e3 for waited in (through, directly))
    at = f"{name} at {GOAL // 2} records/s, p99"
    return [
        _figure(at, ours, "ms"),
        _figure(f"{at}, directly", theirs, "ms"),
        _figure(f"{at}, added", ours - theirs, "ms", goal),
    ]


def _figure(name: str, value: float, unit: str = "", goal: str = "") -> Figure:
    return Figure("gateway", name, value, unit, goal)
