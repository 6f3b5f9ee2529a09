"""`python -m dev.pictures`: makes the pictures of the status page in `docs/status-page` anew.

Three workers store a simulated OpenWhisk's activations for some minutes; then one of them, the
database and Kafka go away, one after the other. Look at the pictures before they are committed.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from app.settings import KafkaSettings
from dev import paths
from dev.browser import Tab, open_browser
from dev.couchdb import couchdb
from dev.kafka import kafka
from dev.services import Services
from dev.steps import say
from dev.traffic import Mix, Setup, Simulation, Sizes, Traffic, ensure_topics
from dev.worker import Worker
from openwhisk.publisher import Publisher

FOLDER = paths.PROJECT / "docs" / "status-page"
MINUTES = 5.0
"""Of traffic before the first picture: what the charts show at least."""

EVENTS_PER_SECOND = 107.0
"""As many as make the simulated time pass as fast as ours."""

AGO = 1.5
"""Seconds: an activation has ended when its record comes."""

WORKERS = 3
NARROW, PHONE = 1180, 390
NOT_MEANT = "/have? not moved|being set aside|is behind|is not ready/"
"""What a page also says for a while when a worker is killed, and on a busy machine."""

SECONDS = 120.0


async def main() -> None:
    """Play it, and take the pictures."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        broker, database = stack.enter_context(kafka()), stack.enter_context(couchdb())
        provided = Services(broker.url, database.url)
        workers = [_worker(Path(folder), provided, number) for number in range(WORKERS)]
        for worker in workers:
            stack.callback(_end, worker)
            await asyncio.to_thread(worker.start, SECONDS)
        async with asyncio.TaskGroup() as group:
            traffic = group.create_task(_traffic(provided))
            async with open_browser() as browser:
                tab = await browser.tab()
                await tab.go(f"{workers[0].url}/")
                await asyncio.sleep(60 * MINUTES)
                await _play(tab, workers, database.terminate, lambda: _freeze(broker.pid))
            traffic.cancel()
            os.kill(broker.pid, signal.SIGCONT)


async def _play(
    tab: Tab,
    workers: list[Worker],
    end_database: Callable[[], object],
    freeze_kafka: Callable[[], object],
) -> None:
    """From a good day to a bad night."""
    await _take(tab, "day", "All is well")
    await _take(tab, "night", "All is well", dark=True)
    await _take(tab, "tables", "All is well", part="[data-part=read]", end="[data-part=letters]")
    workers[-1].kill()
    await _take(tab, "phone", "has not been heard", phone=True)
    await asyncio.to_thread(end_database)
    await _take(tab, "database-away", "has taken no documents", height=760)
    freeze_kafka()
    await _take(tab, "kafka-away", "Kafka has not answered", dark=True, height=760)


async def _take(
    tab: Tab,
    name: str,
    said: str,
    *,
    dark: bool = False,
    phone: bool = False,
    height: int = 1050,
    part: str = "",
    end: str = "",
) -> None:
    """One picture, once the page says what it should show."""
    said_so = f"document.querySelector('.verdict').innerText.includes({said!r})"
    nothing_else = f"!{NOT_MEANT}.test(document.querySelector('.verdict').innerText)"
    await tab.until(f"{said_so} && {nothing_else}", SECONDS)
    width, height = (PHONE, 780) if phone else (NARROW, height)
    await tab.look(width=width, height=height, dark=dark, phone=phone)
    await tab.evaluate("dispatchEvent(new Event('resize'))")
    await asyncio.sleep(2)  # for the charts to be drawn anew
    picture = await (tab.part(part, end) if part else tab.picture(whole=False))
    (FOLDER / f"{name}.png").write_bytes(picture)
    say(f"{name}.png")


def _worker(folder: Path, provided: Services, number: int) -> Worker:
    return Worker(folder / str(number), provided, instance_id=f"persister-{number}")


async def _traffic(provided: Services) -> None:
    settings = KafkaSettings.model_validate({"PERSISTER_KAFKA_URL": provided.kafka_url})
    setup = Setup()
    traffic = Traffic(
        setup,
        seed=18,
        start=int(1000 * (time.time() - AGO)),
        mix=Mix(duplicates=0.01, junk=0.0002, divergent=0.0),
        sizes=Sizes(near_limit=0.0, oversized=0.0),
    )
    publisher = Publisher(settings)
    await publisher.start()
    try:
        await ensure_topics(publisher, setup, settings)
        await Simulation(traffic, publisher, rate=EVENTS_PER_SECOND, duration=3600.0).run()
    finally:
        await publisher.stop()


def _freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def _end(worker: Worker) -> None:
    if worker.running:
        worker.kill()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
