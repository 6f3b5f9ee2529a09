"""Services whose output goes to a pipe that is full and that nobody reads."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from dev.process import Process, Spawn, spawn_process
from dev.services import Services
from dev.worker import Worker
from tests.integration.support.deployment import Deployment
from tests.integration.support.gateway import Gateway, settings
from tests.integration.support.kafka import Producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import until


def fill(writing: int) -> None:
    os.set_blocking(writing, False)
    for size in (512, 1):
        try:
            while True:
                os.write(writing, b"." * size)
        except BlockingIOError:
            pass
    os.set_blocking(writing, True)


@pytest.fixture
def unread() -> Iterator[Spawn]:
    """Starts processes whose output nobody reads."""
    reading, writing = os.pipe()
    fill(writing)

    def spawn(
        command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None, out: int, err: int
    ) -> Process:
        assert out == err
        return spawn_process(command, folder=folder, env=env, out=writing, err=writing)

    yield spawn
    os.close(reading)
    os.close(writing)


@pytest.fixture
def unread_file(tmp_path: Path) -> Iterator[Spawn]:
    """The same for workers, with a log file that takes nothing."""
    file = tmp_path / "log"
    os.mkfifo(file)
    reading = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(file, os.O_WRONLY)
    fill(writing)

    def spawn(
        command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None, out: int, err: int
    ) -> Process:
        logging = [*command, "--logfile", str(file)]
        return spawn_process(logging, folder=folder, env=env, out=out, err=err)

    yield spawn
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("nobody", ["unread", "unread_file"])
async def test_a_worker_whose_log_nobody_reads_works_and_stops(
    deployment: Deployment,
    kafka: Producer,
    nobody: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic = await deployment.topic("completed0")
    given = {"topic_prefix": prefix, "app_id": f"{prefix}persister", "database": database}
    worker = Worker(tmp_path / "unread", Services(kafka_url, couchdb_url), **given)
    worker.spawn = request.getfixturevalue(nobody)
    try:
        await asyncio.to_thread(worker.start, 120)
        await kafka.records(topic, Records(1).many(30))
        await kafka.send(topic, b"not JSON, which is worth a line")
        await kafka.records(topic, Records(2).many(30))
        await deployment.drained(topic)
        assert await asyncio.to_thread(worker.terminate, 60) == 0
    finally:
        worker.kill()


async def test_a_gateway_whose_log_nobody_reads_works_and_stops(
    unread: Spawn, tmp_path: Path, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    async with aiohttp.ClientSession() as http:
        await http.put(f"{couchdb_url}/{database}")
    environment = settings(kafka_url, couchdb_url, prefix, database)
    gateway = Gateway(tmp_path, environment, URL(couchdb_url).authority.rpartition("@")[0])
    gateway.spawn = unread
    records = Records(3)
    try:
        gateway.launch()
        await until(lambda: _taken(gateway, records), "the gateway takes a record")
        assert await gateway.put(records.one()) == 201
        assert await asyncio.to_thread(gateway.terminate, 60) == 0
    finally:
        gateway.kill()


async def _taken(gateway: Gateway, records: Records) -> bool:
    try:
        return await gateway.put(records.one()) == 201
    except aiohttp.ClientError:
        return False
