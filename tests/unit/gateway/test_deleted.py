"""A deleted record that is written again goes to CouchDB: the persister calls it a duplicate."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from openwhisk.gateway.deleted import Deleted
from openwhisk.gateway.targets import Change
from openwhisk.gateway.upstream import UnreachableError, Upstream
from tests.fakes.time import Clock, until
from tests.openwhisk_client import BrokenError, OpenWhiskClient
from tests.unit.gateway.conftest import StartClients, StartGateway
from tests.unit.gateway.doubles import DATABASE, FakeDatabase, FakeProducer, document
from tests.unit.gateway.test_held_changes import DELETIONS, path_of

READ_ONLY_WITH_A_RECORD = {
    "post",
    "post with a query",
    "bulk with a query",
    "bulk with many blanks",
    "bulk with a long id",
    "bulk in another spelling",
    "post with two ids",
    "bulk with two ids each and a query",
    "purge",
}
"""Deletions in a body that passes through unread, unless there is a record that is not stored yet.
"""


@pytest.fixture
async def client(start: StartGateway) -> AsyncIterator[OpenWhiskClient]:
    running = await start()
    made = OpenWhiskClient(running.url.replace("//", "//whisk:secret@"), DATABASE)
    yield made
    made.close()


@pytest.mark.parametrize("again", ["alone", "beside another record"])
@pytest.mark.parametrize("how", DELETIONS)
async def test_a_deleted_record_is_written_again_by_couchdb(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer, how: str, again: str
) -> None:
    if how in READ_ONLY_WITH_A_RECORD:
        await client.put(document())
    fields = document()
    deleted = await DELETIONS[how](client, fields["_id"], database.write(fields)["rev"])
    assert deleted.status in (200, 201)
    assert fields["_id"] not in database.held
    taken = len(producer.sent)
    if again == "alone":
        answer = await client.put(fields)
        assert answer.status == 201
        assert answer.json["rev"] == database.held[fields["_id"]]["_rev"]
    else:
        assert await client.store([document(), fields]) == [True, True]
        assert fields["_id"] in database.held
    assert len(producer.sent) == taken + (again != "alone")


async def test_couchdbs_word_counts_for_what_was_deleted_elsewhere(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    fields, other = document(), document()
    for one in (fields, other):
        database.write(one)
        database.delete(one["_id"])
    assert (await client.get(fields["_id"])).status == 404
    assert (await client.delete(other["_id"], "1-a")).status == 404
    assert await client.store([fields, other]) == [True, True]
    assert database.held.keys() == {fields["_id"], other["_id"]}
    assert not producer.sent


@pytest.mark.parametrize("again", ["once more", "with other content"])
async def test_what_is_deleted_and_written_by_turns_has_couchdbs_revisions(
    client: OpenWhiskClient, database: FakeDatabase, again: str
) -> None:
    fields = document()
    revision = database.write(fields)["rev"]
    for generation in (3, 5):
        await client.delete(fields["_id"], revision)
        if again == "with other content":
            fields["name"] = f"name{generation}"
        revision = (await client.put(fields)).json["rev"]
        assert revision.startswith(f"{generation}-")
        assert database.held[fields["_id"]]["_rev"] == revision


async def test_a_refused_deletion_is_none(
    start: StartGateway, database: FakeDatabase, producer: FakeProducer
) -> None:
    running = await start()
    client = OpenWhiskClient(running.url.replace("//", "//whisk:secret@"), DATABASE)
    stranger = OpenWhiskClient(running.url.replace("//", "//whisk:wrong@"), DATABASE)
    fields = document()
    revision = database.write(fields)["rev"]
    assert (await stranger.delete(fields["_id"], revision)).status == 401
    assert (await client.delete(fields["_id"], "1-a")).status == 409
    await client.put(fields)
    assert len(producer.sent) == 1
    client.close()
    stranger.close()


async def test_a_deletion_that_was_not_answered_may_be_one(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    fields = document()
    revision = database.write(fields)["rev"]

    async def deletes_and_breaks(request: web.Request) -> web.Response:
        database.answer = None
        database.delete(fields["_id"])
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    database.answer = deletes_and_breaks
    with contextlib.suppress(BrokenError):  # or what CouchDB answers to the second attempt
        await client.request("DELETE", f"{path_of(fields['_id'])}?rev={revision}")
    await client.put(fields)
    assert fields["_id"] in database.held
    assert not producer.sent


@pytest.mark.parametrize("whose", ["nobody's", "the client's"])
@pytest.mark.parametrize("how", DELETIONS)
async def test_a_deletion_whose_client_leaves_is_one(
    clients: StartClients,
    database: FakeDatabase,
    producer: FakeProducer,
    how: str,
    whose: str,
) -> None:
    trusted = {} if whose == "nobody's" else {"authorized_users": frozenset({"editor"})}
    client, writer = await clients(**trusted)
    await writer.put(document())  # so that every body is read
    fields = document()
    revision = database.write(fields)["rev"]
    deleted, left = asyncio.Event(), asyncio.Event()

    async def deletes_and_is_left(request: web.Request) -> web.StreamResponse:
        answer = await database.couchdb.answer(request)
        if fields["_id"] not in database.held:
            database.answer = None
            deleted.set()
            await until(lambda: request.transport is None or request.transport.is_closing())
            left.set()
        return answer

    database.answer = deletes_and_is_left
    deleting = asyncio.ensure_future(DELETIONS[how](client, fields["_id"], revision))
    await deleted.wait()
    deleting.cancel()
    await left.wait()
    taken = len(producer.sent)
    await writer.put(fields)
    assert fields["_id"] in database.held
    assert len(producer.sent) == taken


HEADERS = {"Content-Type": "application/json"}


def unread(how: str, tombstone: dict[str, object]) -> tuple[bytes, dict[str, str]]:
    """A bulk of which the gateway does not know which documents it deletes, and its headers."""
    body = json.dumps({"docs": [tombstone]}).encode()
    if how == "in very many files":
        return gzip.compress(b"") * 1000 + gzip.compress(body), HEADERS | {
            "Content-Encoding": "gzip"
        }
    return b'{"docs":[{"_id":"a","x":[%b1]},%b' % (b"[]," * 250_001, body[9:]), HEADERS


@pytest.mark.parametrize("remembers", ["nothing", "a record"])
@pytest.mark.parametrize("answered", ["carried out", "broken off", "refused", "unreachable"])
@pytest.mark.parametrize("how", ["in very many files", "behind very many values"])
async def test_a_deletion_of_what_the_gateway_cannot_name(
    start: StartGateway,
    database: FakeDatabase,
    producer: FakeProducer,
    how: str,
    answered: str,
    remembers: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be of any document; CouchDB reads all of the body."""
    running = await start(publish_deadline=0.2)
    client = OpenWhiskClient(running.url.replace("//", "//whisk:secret@"), DATABASE)
    fields = document()
    revision = database.write(fields)["rev"]
    if remembers == "a record":
        other = document()
        await client.put(other)
        database.write(other)
    sent = len(producer.sent)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path != f"/{DATABASE}/_bulk_docs":
            return await database.couchdb.answer(request)
        if answered != "refused":
            database.delete(fields["_id"])
        if answered == "broken off":
            assert request.transport is not None
            request.transport.close()
        return web.json_response([], status=400 if answered == "refused" else 201)

    async def away(*_: object) -> web.Response:
        raise UnreachableError

    body, headers = unread(how, {"_id": fields["_id"], "_rev": revision, "_deleted": True})
    with monkeypatch.context() as patch, contextlib.suppress(BrokenError):
        if answered == "unreachable":
            patch.setattr(Upstream, "forward", away)
        database.answer = answer
        await client.request("POST", f"/{DATABASE}/_bulk_docs", body, headers)
    database.answer = None
    assert (await client.put(fields)).status in (201, 409)
    deleted = answered in ("carried out", "broken off")
    assert len(producer.sent) == sent + (not deleted)
    assert fields["_id"] in database.held
    client.close()


async def test_a_tombstone_that_the_gateway_cannot_unpack(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    """Its body is that of a `PUT`, so it is known of whom; CouchDB reads it."""
    fields = document()
    database.write(fields)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method != "PUT":
            return await database.couchdb.answer(request)
        database.delete(fields["_id"])
        return web.json_response({"ok": True, "id": fields["_id"], "rev": "2-a"}, status=201)

    database.answer = answer
    body = gzip.compress(b"") * 1000 + gzip.compress(b'{"_deleted":true,"_rev":"1-a"}')
    headers = HEADERS | {"Content-Encoding": "gzip"}
    assert (await client.request("PUT", path_of(fields["_id"]), body, headers)).status == 201
    database.answer = None
    await client.put(fields)
    assert fields["_id"] in database.held
    assert not producer.sent


async def test_an_encoding_that_couchdb_does_not_hear_of_is_none(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    """`Connection` says that the header is for the gateway alone."""
    headers = HEADERS | {"Content-Encoding": "gzip", "Connection": "Content-Encoding"}
    deleted, fields = document(), document()
    tombstone = {"_id": deleted["_id"], "_rev": database.write(deleted)["rev"], "_deleted": True}
    body = json.dumps({"docs": [tombstone]}).encode()
    await client.request("POST", f"/{DATABASE}/_bulk_docs", body, headers)
    assert deleted["_id"] not in database.held
    body = json.dumps(fields).encode()
    assert (await client.request("PUT", path_of(fields["_id"]), body, headers)).status == 201
    assert [one["response"]["activationId"] for one in producer.messages()] == [
        fields["activationId"]
    ]
    await client.put(deleted)
    assert database.held.keys() == {deleted["_id"]}


@pytest.mark.parametrize("how", ["dropped and created", "dropped", "created"])
async def test_a_database_that_is_made_again_has_its_records_from_couchdb(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer, how: str
) -> None:
    """The workers' guard remembers those of the one before, until they look."""
    fields = document()
    await client.put(fields)
    database.write(fields)
    if how == "created":
        del database.couchdb.databases[DATABASE]
    else:
        assert (await client.request("DELETE", f"/{DATABASE}")).status == 200
    if how == "dropped":
        database.couchdb.databases[DATABASE] = {}
    else:
        assert (await client.request("PUT", f"/{DATABASE}")).status == 201
    if how != "created":
        assert (await client.get(fields["_id"])).status == 404
    answer = await client.put(fields)
    assert answer.json["rev"] == database.held[fields["_id"]]["_rev"]
    assert await client.store([document(), document()]) == [True, True]
    assert len(producer.sent) == 1
    assert len(database.held) == 3


async def test_a_database_that_is_there_already_is_no_other(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    assert (await client.request("PUT", f"/{DATABASE}")).status == 412
    await client.put(document())
    assert len(producer.sent) == 1
    assert not database.held


async def test_a_database_that_was_made_again_counts_as_known_after_a_while() -> None:
    clock = Clock()
    deleted = Deleted(clock=clock)

    async def answer() -> web.Response:
        return web.json_response({"ok": True})

    await deleted.changing(Change(all=True), answer())
    assert "a" in deleted
    clock.now += 59
    assert "a" in deleted
    clock.now += 1
    assert "a" not in deleted


def test_the_newest_are_remembered() -> None:
    deleted = Deleted(most=3)
    for name in ("a", "b", "a", "c", "d"):
        deleted.note(name, "user a")
    assert [name for name in "abcd" if name in deleted] == ["a", "c", "d"]


def test_owners_of_whose_nothing_is_left_take_no_memory() -> None:
    deleted = Deleted(most=100)
    for number in range(10_000):
        deleted.note(str(number), f"user {number}")
    assert len(deleted._of) <= 100


@pytest.mark.parametrize("same", ["before", "after", "not at all"])
def test_who_names_many_pushes_out_nobody_elses(same: str) -> None:
    deleted = Deleted(most=5)
    if same == "before":
        deleted.note("a", "user many")
    for name in ("a", "b"):
        deleted.note(name, "user few")
    if same == "after":
        deleted.note("a", "user many")
    for number in range(10):
        deleted.note(str(number), "user many")
    remembered = [name for name in ["a", "b", *map(str, range(10))] if name in deleted]
    assert remembered == ["a", "b", "7", "8", "9"]
