"""A burst, played: far more than the database takes, for minutes.

python -m dev.bench.burst --minutes 10 --times 10 --rate 400

The database takes so many documents a second, which the worker is told; records come at ten times
that for some minutes. Meanwhile and afterwards the worker's memory is looked at, and afterwards how
fast it stores what has waited, in shares of what the database takes. All of it takes as many times
as long as the burst as the burst is larger than what the database takes; `--watch` ends it sooner.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field

from dev.bench.ground import Ground, ground
from dev.bench.measure import peak_megabytes
from dev.bench.report import Figure, show
from dev.services import Services, services
from dev.traffic import prefill
from dev.worker import Worker

RECORD_BYTES = 1024
LOOK_SECONDS = 2.0
TOLD_EVERY = 15
"""Looks."""


@dataclass(frozen=True)
class Burst:
    """What is played; rates in records a second."""

    minutes: int
    times: float
    rate: float
    watch: float
    """Minutes after it, at most."""

    @property
    def records(self) -> int:
        """Of all of it."""
        return int(self.minutes * 60 * self.times * self.rate)


@dataclass
class Watched:
    """What was seen of the worker, by seconds since the beginning."""

    stored: dict[float, int] = field(default_factory=dict)
    peak: float = 0.0
    """Megabytes."""

    def rate(self, since: float, until: float) -> float:
        """Documents a second, between the looks that are next to these times."""
        looks = [(at, stored) for at, stored in self.stored.items() if since <= at <= until]
        (began, first), (ended, last) = looks[0], looks[-1]
        return (last - first) / (ended - began)


async def play(here: Ground, burst: Burst) -> list[Figure]:
    """Play it."""
    watched = Watched()
    async with (
        here.publisher() as publisher,
        here.worker(documents_per_second=burst.rate) as worker,
    ):
        started = time.monotonic()
        watching = asyncio.create_task(_watch(worker, watched, started, burst.records))
        try:
            for minute in range(burst.minutes):
                rate = burst.times * burst.rate
                count = int(60 * rate)
                await prefill(publisher, here.topic, count, RECORD_BYTES, seed=minute, rate=rate)
            over = time.monotonic() - started
            print(f"the burst is over, after {over:.0f} s")
            await asyncio.wait([watching], timeout=burst.watch * 60)
            if watching.done():
                watching.result()
        finally:
            watching.cancel()
    ended = list(watched.stored)[-1]
    caught_up = watched.rate(over, ended) / burst.rate
    return [
        _figure("sent", burst.records, "records"),
        _figure("stored", watched.stored[ended], "records"),
        _figure("memory, peak", watched.peak, "MB", "300"),
        _figure("rate meanwhile, in shares of the database's", watched.rate(0, over) / burst.rate),
        _figure("rate afterwards, in shares of the database's", caught_up, goal="0.95"),
    ]


async def _watch(worker: Worker, watched: Watched, started: float, records: int) -> None:
    """Look until all is stored."""
    looks = 0
    while True:
        status = await asyncio.to_thread(worker.status)
        stored = status["outcomes"]["store"]["consumed"]
        routed = status["outcomes"]["route"]["consumed"]
        now = time.monotonic() - started
        watched.stored[now] = stored
        watched.peak = peak_megabytes(worker.pid)
        if looks % TOLD_EVERY == 0:
            print(f"{now:6.0f} s: routed {routed:,}, stored {stored:,}; {watched.peak:.0f} MB most")
        if stored >= records:
            return
        looks += 1
        await asyncio.sleep(LOOK_SECONDS)


def _figure(name: str, value: float, unit: str = "", goal: str = "") -> Figure:
    return Figure("burst", name, value, unit, goal)


async def _run(provided: Services, burst: Burst) -> list[Figure]:
    async with ground(provided) as here:
        return await play(here, burst)


def main() -> None:
    """Play what the arguments say, against the services of the environment or some of its own."""
    parser = argparse.ArgumentParser(prog="python -m dev.bench.burst", description=__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="of the burst (%(default)s)")
    parser.add_argument("--times", type=float, default=10, help="the database's rate (%(default)s)")
    parser.add_argument("--rate", type=float, default=400, help="the database's (%(default)s)")
    parser.add_argument(
        "--watch", type=float, default=24 * 60, help="minutes after the burst, at most"
    )
    given = parser.parse_args()
    burst = Burst(given.minutes, given.times, given.rate, given.watch)
    with services() as provided:
        show(asyncio.run(_run(provided, burst)))


if __name__ == "__main__":
    main()
