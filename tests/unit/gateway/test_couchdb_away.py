"""CouchDB goes away and comes back: nothing that only it can take is answered for it meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import (
    BASIC,
    DATABASE,
    FakeDatabase,
    Running,
    document,
    encoded,
)

SOON = 0.05


class Restarts:
    """A CouchDB that can be stopped, with its connections, and started at the same address."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._database.handle)
        self._runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        self._database.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None


@pytest.fixture
async def couchdb(database: FakeDatabase) -> AsyncIterator[Restarts]:
    running = Restarts(database)
    await running.start()
    yield running
    await running.stop()


async def known(gateway: Running) -> None:
    """Have the credentials accepted: a stranger's would be held anyway."""
    async with gateway.put_document(document()) as answer:
        assert answer.status == 201


def not_taken() -> dict[str, Any]:
    """A document that only CouchDB can take."""
    return {**document(), "entityType": "something else"}


def write(gateway: Running, how: str, fields: dict[str, Any]) -> Any:
    if how == "document":
        return gateway.put_document(fields)
    if how == "document with a query":
        return gateway.put(encoded(fields), f"{fields['_id']}?w=1")
    return gateway.bulk_documents([fields] if how == "batch" else [document(), fields])


@pytest.mark.parametrize("how", ["document", "document with a query", "batch", "mixed batch"])
async def test_a_write_is_held_until_couchdb_is_there(
    start: StartGateway, couchdb: Restarts, database: FakeDatabase, how: str
) -> None:
    gateway = await start()
    await known(gateway)
    await couchdb.stop()
    fields = not_taken()
    sending = asyncio.ensure_future(status(write(gateway, how, fields)))
    done, _ = await asyncio.wait([sending], timeout=4 * SOON)
    assert not done
    await couchdb.start()
    assert await sending == 201
    assert database.held.keys() == {fields["_id"]}


@pytest.mark.parametrize("how", ["document", "document with a query", "batch", "mixed batch"])
async def test_in_the_end_it_is_not_answered(
    start: StartGateway, couchdb: Restarts, how: str
) -> None:
    gateway = await start(publish_deadline=SOON)
    await known(gateway)
    await couchdb.stop()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await status(write(gateway, how, not_taken()))


@pytest.mark.usefixtures("couchdb")
async def test_a_connection_that_breaks_there_breaks_here(
    start: StartGateway, database: FakeDatabase
) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    gateway = await start()
    database.answer = broken
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await status(gateway.put_document(not_taken()))
    url = URL(f"{gateway.url}/{DATABASE}/_find")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await status(gateway.client.post(url, headers=BASIC))


@pytest.mark.usefixtures("couchdb")
async def test_who_reads_is_told(start: StartGateway, couchdb: Restarts) -> None:
    gateway = await start()
    await couchdb.stop()
    async with gateway.client.get(f"{gateway.url}/{DATABASE}/_all_docs", headers=BASIC) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (502, "5")
        assert json.loads(await answer.read())["error"] == "bad_gateway"


async def status(sending: Any) -> int:
    async with sending as answer:
        await answer.read()
        return int(answer.status)
