"""How long a record takes from being sent until it is in the database's changes feed.

Records are sent one by one, as invokers do, to one topic of one partition, at several rates, with a
burst of ten seconds' worth after each rate. Whoever reads the changes feed has the record then.
The same for the loop of `simple`, which does without all that makes the persister what it is.

A rate that one machine's database takes with ease is beyond another's. So the last rate is half of
what a bare loop writes and CouchDB indexes here: what is left then is for the persister to lose.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import aiohttp
from aiokafka import AIOKafkaProducer

from app.kafka.clients import client_options
from dev.bench.ground import ground, indexed
from dev.bench.measure import cpu_seconds, percentile
from dev.bench.report import Figure
from dev.bench.throughput import bare_loop
from dev.services import Services
from dev.traffic.backlog import NAMESPACE, messages
from dev.traffic.pace import Pace

RECORD_BYTES = 1024
WARM_SECONDS = 2.0
STEADY_SECONDS = 10.0
BURST_SECONDS = 10.0
"""A burst is what comes in so many seconds, all at once."""

CALM_SECONDS = 2.0
LATE = 0.01
"""A burst is digested when for so many seconds no more than this share of the records is late."""

MOST_SECONDS = 100
"""For which there are records."""

PATIENCE = 60.0
"""Seconds for records to arrive, and for a burst to be digested."""


@dataclass(frozen=True)
class Goal:
    """A rate in records per second, and what records should wait there, in seconds."""

    rate: int
    p50: float
    p99: float
    name: str = ""
    """Of a rate that is not the same everywhere."""


GOALS = (Goal(50, 0.025, 0.080), Goal(500, 0.040, 0.150), Goal(2000, 0.100, 0.500))
HALF = "half of what CouchDB takes"


@dataclass
class Flow:
    """What was sent and what has arrived, by activation id; epoch seconds."""

    sent: dict[str, float] = field(default_factory=dict)
    arrived: dict[str, float] = field(default_factory=dict)
    _complete: asyncio.Event = field(default_factory=asyncio.Event)

    def latencies(self, since: float, until: float) -> list[float]:
        """Of the records that were sent in between and have all arrived."""
        sent = self.sent.items()
        return [self.arrived[id_] - at for id_, at in sent if since <= at < until]

    def late(self, since: float, limit: float, now: float) -> float:
        """The share of the records sent since then that took longer, or have by now."""
        waited = [self.arrived.get(id_, now) - at for id_, at in self.sent.items() if at >= since]
        return sum(seconds > limit for seconds in waited) / len(waited) if waited else 0.0

    def sends(self, id_: str) -> None:
        """Note that a record is sent now."""
        self.sent[id_] = time.time()

    def arrives(self, id_: str, now: float) -> None:
        """Note that a record has arrived."""
        self.arrived.setdefault(id_, now)
        if len(self.arrived) == len(self.sent):
            self._complete.set()

    async def complete(self) -> None:
        """Wait until nothing is under way."""
        self._complete.clear()
        if len(self.arrived) < len(self.sent):
            async with asyncio.timeout(PATIENCE):
                await self._complete.wait()


@dataclass(frozen=True)
class Waited:
    """What was measured at a rate; seconds."""

    goal: Goal
    p50: float
    p99: float
    cpu: float
    """Of the process, for each record."""

    back: float
    """After how long the burst was no longer felt."""


class Sender:
    """Sends records one by one, and remembers when."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, flow: Flow, count: int) -> None:
        self._producer = producer
        self._topic = topic
        self._flow = flow
        self._messages = iter(list(messages(count, RECORD_BYTES, seed=time.time_ns())))

    async def send(self, count: int) -> None:
        """Send some at once."""
        for _ in range(count):
            id_, value = next(self._messages)
            self._flow.sends(id_)
            await self._producer.send(self._topic, value)

    async def steadily(self, rate: int, seconds: float) -> None:
        """Send at a rate."""
        pace = Pace(rate)
        for _ in range(int(rate * seconds)):
            await pace.wait()
            await self.send(1)


async def measure(sender: Sender, flow: Flow, goal: Goal, pid: int) -> Waited:
    """Send at a rate, then a burst on top of it."""
    await sender.steadily(goal.rate, WARM_SECONDS)
    since, cpu = time.time(), cpu_seconds(pid)
    await sender.steadily(goal.rate, STEADY_SECONDS)
    until = time.time()
    await flow.complete()
    used = cpu_seconds(pid) - cpu
    waited = flow.latencies(since, until)
    p50, p99 = percentile(waited, 50), percentile(waited, 99)
    return Waited(goal, p50, p99, used / len(waited), await _burst(sender, flow, goal))


async def _burst(sender: Sender, flow: Flow, goal: Goal) -> float:
    """Seconds from a burst until records wait as before, for some seconds at a stretch.

    `PATIENCE` stands for as long or longer: the database takes no more than the rate by itself.
    """
    started = time.time()
    await sender.send(int(goal.rate * BURST_SECONDS))
    await sender.steadily(goal.rate, CALM_SECONDS)
    while (calm := time.time() - CALM_SECONDS) < started + PATIENCE:
        if flow.late(calm, goal.p99, time.time()) <= LATE:
            break
        await sender.steadily(goal.rate, CALM_SECONDS / 4)
    with contextlib.suppress(TimeoutError):
        await flow.complete()
    return min(calm - started, PATIENCE)


@contextlib.asynccontextmanager
async def watching(database: str, flow: Flow) -> AsyncIterator[None]:
    """Note what comes through the changes feed, while the block runs."""
    parameters = {"feed": "continuous", "since": "now", "heartbeat": "10000"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{database}/_changes", params=parameters, timeout=timeout) as answer,
    ):
        answer.raise_for_status()
        task = asyncio.create_task(_note(answer.content, flow))
        try:
            yield
        finally:
            task.cancel()


async def _note(feed: aiohttp.StreamReader, flow: Flow) -> None:
    marker = f'"id":"{NAMESPACE}/'.encode()
    rest = b""
    async for part, _ in feed.iter_chunks():
        now = time.time()
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            _, found, after = line.partition(marker)
            if found:
                flow.arrives(after[:32].decode(), now)


async def measured(provided: Services, goals: Sequence[Goal], *, simple: bool) -> list[Waited]:
    """Measure the worker, or the hand-written loop."""
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(ground(provided))
        if simple:
            pid = await stack.enter_async_context(here.simple_loop())
        else:
            pid = (await stack.enter_async_context(here.worker())).pid
        flow = Flow()
        await stack.enter_async_context(watching(here.url, flow))
        producer = AIOKafkaProducer(**client_options(here.kafka), acks="all")
        await producer.start()
        stack.push_async_callback(producer.stop)
        results = []
        for goal in goals:
            sender = Sender(producer, here.topic, flow, goal.rate * MOST_SECONDS)
            # What CouchDB has still to index of the last burst would cost this rate's records.
            await indexed(here.url)
            results.append(await measure(sender, flow, goal, pid))
        return results


async def taken(provided: Services) -> float:
    """Documents per second that CouchDB takes and indexes, with nothing else to do."""
    async with ground(provided) as here:
        started = time.perf_counter()
        rate = await bare_loop(here.url)
        await indexed(here.url)
        return rate.documents / (time.perf_counter() - started)


async def run(provided: Services) -> list[Figure]:
    """Measure both, the worker first."""
    half = replace(GOALS[-1], rate=round(await taken(provided) / 2), name=HALF)
    goals = (*GOALS, half)
    figures = []
    ours = await measured(provided, goals, simple=False)
    theirs = await measured(provided, goals, simple=True)
    for mine, other in zip(ours, theirs, strict=True):
        goal, at = mine.goal, f"at {mine.goal.rate}/s"
        if goal.name:
            at += f", {goal.name}"
        most = f"{2 * BURST_SECONDS:.0f}"
        figures += [
            _figure(f"p50 {at}", mine.p50 * 1e3, "ms", f"{goal.p50 * 1e3:.0f}"),
            _figure(f"p50 {at}, simple loop", other.p50 * 1e3, "ms"),
            _figure(f"p99 {at}", mine.p99 * 1e3, "ms", f"{goal.p99 * 1e3:.0f}"),
            _figure(f"p99 {at}, simple loop", other.p99 * 1e3, "ms"),
            _figure(f"CPU per record {at}", mine.cpu * 1e6, "µs"),
            _figure(f"CPU per record {at}, simple loop", other.cpu * 1e6, "µs"),
            _figure(f"burst {at} felt for", mine.back, "s", most),
            _figure(f"burst {at} felt for, simple loop", other.back, "s"),
        ]
    return figures


def _figure(name: str, value: float, unit: str, goal: str = "") -> Figure:
    return Figure("latency", name, value, unit, goal)
