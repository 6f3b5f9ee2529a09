import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from app.couchdb import BulkWriter, Database
from app.settings import DatabaseSettings, DiagnosisSettings
from tests.fakes.couchdb import FakeCouchDB
from tests.fakes.time import LoopTime, Time, VirtualTimeLoop

MakeWriter = Callable[..., Awaitable[BulkWriter]]


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of tests with the mark `virtual_time`, and of the others."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual time": VirtualTimeLoop}
    return {"time": asyncio.new_event_loop}


async def at_once() -> None:
    """Let documents be written as soon as the database is found."""


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def couchdb() -> AsyncIterator[FakeCouchDB]:
    server = FakeCouchDB()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def settings(couchdb: FakeCouchDB) -> Callable[..., DatabaseSettings]:
    def make(**changed: Any) -> DatabaseSettings:
        return DatabaseSettings(**{"url": couchdb.url, "name": "activations", **changed})

    return make


@pytest.fixture
async def database(settings: Callable[..., DatabaseSettings]) -> AsyncIterator[Database]:
    database = Database(settings())
    await database.connect()
    yield database
    await database.close()


@pytest.fixture
async def make_writer(
    settings: Callable[..., DatabaseSettings], time: Time
) -> AsyncIterator[MakeWriter]:
    """Start a writer on the fake database; all of them are stopped at the end."""
    writers: list[BulkWriter] = []

    async def make(
        passing: LoopTime | None = None,
        cleared: Callable[[], Awaitable[None]] = at_once,
        **changed: Any,
    ) -> BulkWriter:
        chosen, passing_time = settings(**changed), passing or time
        writer = BulkWriter(
            Database(chosen),
            chosen,
            DiagnosisSettings(),
            cleared=cleared,
            clock=passing_time.clock,
            sleep=passing_time.sleep,
            random=lambda: 1.0,
        )
        writers.append(writer)
        await writer.start()
        return writer

    yield make
    for writer in writers:
        await writer.stop()
        assert writer.crash_reason is None


@pytest.fixture
async def writer(make_writer: MakeWriter) -> BulkWriter:
    return await make_writer()
