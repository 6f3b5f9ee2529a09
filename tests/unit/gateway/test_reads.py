"""What was just written is there for its reader, before the persister has stored it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from tests.fakes.time import until
from tests.openwhisk_client import Answer, OpenWhiskClient
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import DATABASE, FakeDatabase, document


@pytest.fixture
async def client(start: StartGateway) -> AsyncIterator[OpenWhiskClient]:
    gateway = await start(change_patience=5)
    made = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    yield made
    made.close()


async def test_a_record_reads_as_it_was_written(client: OpenWhiskClient) -> None:
    fields = document()
    written = await client.put(fields)
    revision = written.json["rev"]
    read = await client.get(fields["_id"], revision)
    assert (read.status, read.segments) == (200, 1)
    assert read.json == {**fields, "_rev": revision}
    assert read.headers["etag"] == f'"{revision}"'
    path = f"/{DATABASE}/{fields['_id'].replace('/', '%2F')}"
    head = await client.request("HEAD", path)
    assert (head.status, head.headers["content-length"]) == (200, str(len(read.body)))


async def test_one_of_a_batch_reads_too(client: OpenWhiskClient) -> None:
    batch = [document() for _ in range(10)]
    await client.store(batch)
    found = [await client.get(fields["_id"]) for fields in batch]
    assert [read.json["activationId"] for read in found] == [f["activationId"] for f in batch]


async def test_the_revision_is_the_one_that_it_has_once_stored(
    client: OpenWhiskClient, database: FakeDatabase
) -> None:
    fields = document()
    early = (await client.put(fields)).json["rev"]
    stored = (await client.get(fields["_id"])).json
    del stored["_rev"]
    assert database.write(stored)["rev"] == early


async def test_what_couchdb_has_is_what_is_read(
    client: OpenWhiskClient, database: FakeDatabase
) -> None:
    fields = document()
    await client.put(fields)
    database.write({**fields, "name": "stored"})
    assert (await client.get(fields["_id"])).json["name"] == "stored"
    # What was deleted since does not come back.
    database.delete(fields["_id"])
    assert (await client.get(fields["_id"])).status == 404


async def test_what_was_deleted_before_it_was_read_stays_so(
    client: OpenWhiskClient, database: FakeDatabase
) -> None:
    fields = document()
    await client.put(fields)
    database.write(fields)
    database.delete(fields["_id"])
    assert (await client.get(fields["_id"])).status == 404


async def test_who_may_not_read_does_not(start: StartGateway, database: FakeDatabase) -> None:
    gateway = await start()
    mine = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    theirs = OpenWhiskClient(gateway.url.replace("//", "//other:wrong@"), DATABASE)
    fields = document()
    await mine.put(fields)
    assert (await mine.get(fields["_id"])).status == 200
    assert (await theirs.get(fields["_id"])).status == 401
    assert not database.held
    mine.close()
    theirs.close()


@pytest.mark.parametrize("how", ["GET", "HEAD", "DELETE", "PUT"])
async def test_a_wrong_password_costs_one_attempt(
    start: StartGateway, database: FakeDatabase, how: str
) -> None:
    gateway = await start()
    mine = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    theirs = OpenWhiskClient(gateway.url.replace("//", "//whisk:wrong@"), DATABASE)
    fields = document()
    revision = (await mine.put(fields)).json["rev"]
    database.seen.clear()
    path = f"/{DATABASE}/{fields['_id'].replace('/', '%2F')}"
    given = {"If-Match": revision} if how in ("DELETE", "PUT") else {}
    answer = await theirs.request(how, path, b"{}" if how == "PUT" else b"", given)
    assert answer.status == 401
    assert how == "HEAD" or answer.json["error"] == "unauthorized"
    assert answer.segments == 1
    assert len(database.seen) == 1
    mine.close()
    theirs.close()


async def test_who_may_not_ask_is_refused_without_waiting_for_others(
    start: StartGateway, database: FakeDatabase
) -> None:
    """Of those whose requests may name any document, one asks about all."""
    gateway = await start(change_patience=5)
    mine = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    theirs = OpenWhiskClient(gateway.url.replace("//", "//whisk:wrong@"), DATABASE)
    fields = document()
    await mine.put(fields)

    def change(client: OpenWhiskClient) -> Awaitable[Answer]:
        path, packed = f"/{DATABASE}/_bulk_docs", {"Content-Encoding": "gzip"}
        return client.request("POST", path, b"no file", packed)

    database.seen.clear()
    waiting = asyncio.ensure_future(change(mine))
    await until(lambda: len(database.seen) > 2)
    assert (await change(theirs)).status == 401
    assert not waiting.done()
    database.write(fields)
    await waiting
    mine.close()
    theirs.close()


async def test_it_can_be_switched_off(start: StartGateway, database: FakeDatabase) -> None:
    gateway = await start(recent_bytes=0)
    client = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    fields = document()
    await client.put(fields)
    assert (await client.get(fields["_id"])).status == 404
    assert not database.held
    client.close()


async def test_couchdb_is_asked_on_behalf_of_the_clients_address(
    client: OpenWhiskClient, database: FakeDatabase
) -> None:
    fields = document()
    await client.put(fields)
    await client.get(fields["_id"])
    assert {seen.headers["X-Forwarded-For"] for seen in database.seen} == {"127.0.0.1"}
