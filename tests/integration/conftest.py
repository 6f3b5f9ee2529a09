"""Fixtures of the tests that need a Kafka and a database; `make test` starts both."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import aiohttp
import pytest

from dev.admin import Admin
from dev.admin import admin as connect_admin
from dev.services import COUCHDB_URL, KAFKA_URL, Services
from dev.worker import Worker, database_settings
from tests.integration.support import preloaded
from tests.integration.support.commands import Commands
from tests.integration.support.deployment import Deployment, StartWorker
from tests.integration.support.kafka import Producer
from tests.integration.support.kafka import producer as connect_producer
from tests.integration.support.waiting import coordinated

_HERE = Path(__file__).parent
_WORKERS = pytest.StashKey[list[Worker]]()
_LOG_TAIL = 6000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.integration)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of each worker's log beside a failure."""
    report = yield
    if report.failed:
        for worker in item.stash.get(_WORKERS, []):
            report.sections.append((f"end of {worker.log_file}", worker.log()[-_LOG_TAIL:]))
    return report


def _given(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.exit(f"{variable} is not set: run these tests with `make test`", returncode=4)
    return value


@pytest.fixture(scope="session")
def kafka_url() -> str:
    """`kafka://host:port`, of a broker that coordinates groups."""
    url = _given(KAFKA_URL)
    asyncio.run(coordinated(url))
    return url


@pytest.fixture(scope="session")
def couchdb_url() -> str:
    """`http://user:password@host:port`."""
    return _given(COUCHDB_URL)


@pytest.fixture
def prefix() -> str:
    """A prefix for topics and groups that no other test has."""
    return f"t{secrets.token_hex(3)}-"


@pytest.fixture
async def database(couchdb_url: str, prefix: str) -> AsyncIterator[str]:
    """The name of a database that does not exist yet; it is deleted afterwards."""
    name = f"{prefix}activations"
    yield name
    async with aiohttp.ClientSession() as http, http.delete(f"{couchdb_url}/{name}") as answer:
        assert answer.status in {200, 404}, f"cannot delete {name}: {answer.status}"


@pytest.fixture
async def admin(kafka_url: str, prefix: str) -> AsyncIterator[Admin]:
    """Makes topics; those that begin with the prefix are deleted afterwards."""
    async with connect_admin(kafka_url) as connected:
        yield connected
        await connected.delete_topics(prefix)


@pytest.fixture
async def worker(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
    admin: Admin,  # noqa: ARG001 - deletes the topics, after the workers have been stopped
) -> AsyncIterator[StartWorker]:
    """Starts workers: `await worker(partitions=4)`; see `dev.worker.Worker` for the settings.

    A `couchdb_url` may carry the credentials of another database. With `ready=False` it is not
    waited for. All are killed afterwards: stopping takes a second, and much longer if the test's
    own Kafka is gone. What waits for a worker (`terminate`, `wait`) blocks: where the test's own
    clients must go on, `asyncio.to_thread` it.
    """
    workers = request.node.stash.setdefault(_WORKERS, [])

    async def start(*, ready: bool = True, **settings: object) -> Worker:
        defaults = {
            "topic_prefix": prefix,
            "app_id": f"{prefix}persister",
            "database": database,
        }
        if "couchdb_url" in settings and "couchdb_user" not in settings:
            settings |= database_settings(str(settings["couchdb_url"]))
        folder = tmp_path / f"worker-{len(workers)}"
        started = Worker(folder, Services(kafka_url, couchdb_url), **(defaults | settings))
        started.spawn = preloaded.start
        workers.append(started)
        await asyncio.to_thread(started.start if ready else started.launch)
        return started

    yield start
    await asyncio.gather(*(asyncio.to_thread(started.kill) for started in workers))


@pytest.fixture
async def kafka(kafka_url: str) -> AsyncIterator[Producer]:
    """Writes records."""
    async with connect_producer(kafka_url) as connected:
        yield connected


@pytest.fixture
def commands(kafka_url: str, couchdb_url: str, prefix: str, database: str) -> Commands:
    """`persister …` with the settings of the test's workers."""
    group = f"{prefix}persister"
    return Commands(kafka_url, couchdb_url, topic_prefix=prefix, app_id=group, database=database)


@pytest.fixture
def deployment(
    prefix: str,
    database: str,
    kafka_url: str,
    couchdb_url: str,
    admin: Admin,
    kafka: Producer,
    worker: StartWorker,
    commands: Commands,
) -> Deployment:
    """All of these together."""
    return Deployment(prefix, database, kafka_url, couchdb_url, admin, kafka, worker, commands)
