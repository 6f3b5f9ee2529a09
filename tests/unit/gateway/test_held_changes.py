"""What changes a record that is on its way over Kafka waits until it is stored."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiokafka.errors import TopicAuthorizationFailedError

from openwhisk.gateway.large import LARGE
from tests.fakes.time import until
from tests.openwhisk_client import Answer, BrokenError, OpenWhiskClient
from tests.unit.gateway.conftest import StartClients
from tests.unit.gateway.doubles import (
    DATABASE,
    TOPIC,
    FakeDatabase,
    FakeProducer,
    asks_what_is_stored,
    document,
)

Deletion = Callable[[OpenWhiskClient, str, str], Awaitable[Answer]]


def path_of(document_id: str) -> str:
    return f"/{DATABASE}/{document_id.replace('/', '%2F')}"


def posted(path: str, body: Callable[[dict[str, Any]], object]) -> Deletion:
    """Deletes by a body that has the tombstone in it."""

    def delete(client: OpenWhiskClient, document_id: str, revision: str) -> Awaitable[Answer]:
        tombstone = {"_id": document_id, "_rev": revision, "_deleted": True}
        return client.request("POST", f"/{DATABASE}{path}", json.dumps(body(tombstone)).encode())

    return delete


def posted_twice(path: str, body: Callable[[dict[str, Any]], object]) -> Deletion:
    """Deletes by a body that gives each id twice, first as no text; CouchDB takes the last."""

    def delete(client: OpenWhiskClient, document_id: str, revision: str) -> Awaitable[Answer]:
        tombstone = {"_id": document_id, "_rev": revision, "_deleted": True}
        sent = json.dumps(body(tombstone)).replace('"_id":', '"_id":null,"_id":')
        return client.request("POST", f"/{DATABASE}{path}", sent.encode())

    return delete


def posted_as(body: bytes, much: bytes) -> Deletion:
    """Deletes by a bulk request that has so much beside the tombstone."""

    def delete(client: OpenWhiskClient, document_id: str, revision: str) -> Awaitable[Answer]:
        tombstone = {"_id": document_id, "_rev": revision, "_deleted": True}
        sent = body % (much, json.dumps(tombstone).encode())
        return client.request("POST", f"/{DATABASE}/_bulk_docs?w=1", sent)

    return delete


def bulk(tombstone: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"docs": [{"_id": "guest/x"}, tombstone], **more}


DELETIONS: dict[str, Deletion] = {
    "delete": lambda client, id_, rev: client.delete(id_, rev),
    "delete with a query": lambda client, id_, rev: client.request(
        "DELETE", f"{path_of(id_)}?w=1&rev={rev}"
    ),
    "put": lambda client, id_, rev: client.put({"_id": id_, "_deleted": True}, rev),
    "put with a query": lambda client, id_, rev: client.request(
        "PUT", f"{path_of(id_)}?w=1&rev={rev}", b'{"_deleted":true}'
    ),
    "post": posted("", lambda tombstone: tombstone),
    "post with a query": posted("?w=1", lambda tombstone: tombstone),
    "bulk": posted("/_bulk_docs", bulk),
    "bulk with a record": posted("/_bulk_docs", lambda one: {"docs": [document(), one]}),
    "bulk with a query": posted("/_bulk_docs?w=1", bulk),
    "bulk of another form": posted("/_bulk_docs", lambda one: bulk(one, w=1)),
    "bulk of very many": posted(
        "/_bulk_docs", lambda one: {"docs": [{"_id": "guest/x"}] * 10_000 + [one]}
    ),
    "bulk with many blanks": posted_as(b'{"docs":[{"_id":"guest/x"},%b%b]}', b" " * 9999),
    "bulk with a long id": posted_as(b'{"docs":[{"_id":"%b"},%b]}', b"a" * 99_999),
    "bulk in another spelling": posted("//%5Fbulk_docs/", bulk),
    "post with two ids": posted_twice("", lambda tombstone: tombstone),
    "bulk with two ids each": posted_twice("/_bulk_docs", bulk),
    "bulk with two ids each and a query": posted_twice("/_bulk_docs?w=1", bulk),
    "large bulk with two ids each": posted_twice(
        "/_bulk_docs", lambda one: {"docs": [{"_id": "guest/x", "a": "b" * LARGE}, one]}
    ),
    "purge": lambda client, id_, rev: client.request(
        "POST", f"/{DATABASE}/_purge", json.dumps({id_: [rev]}).encode()
    ),
}


def heard(*, whose: str) -> dict[str, frozenset[str]]:
    """Settings with which CouchDB hears the editor's writes, or nobody's."""
    return {"authorized_users": frozenset({"whisk"})} if whose == "the editor's" else {}


def times_asked(database: FakeDatabase, document_id: str) -> int:
    asked = [json.loads(one.body)["keys"] for one in database.seen if asks_what_is_stored(one)]
    return sum(document_id in keys for keys in asked)


@pytest.mark.parametrize("whose", ["nobody's", "the editor's"])
@pytest.mark.parametrize("how", DELETIONS)
async def test_a_deletion_waits_until_the_record_is_stored(
    clients: StartClients, database: FakeDatabase, how: str, whose: str
) -> None:
    writer, editor = await clients(change_patience=5, **heard(whose=whose))
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    stored = (await writer.get(fields["_id"])).json
    del stored["_rev"]
    deleting = asyncio.ensure_future(DELETIONS[how](editor, fields["_id"], revision))
    await until(lambda: times_asked(database, fields["_id"]) > 2 or deleting.done())
    assert not deleting.done()
    assert database.write(stored)["rev"] == revision
    assert (await deleting).status in (200, 201)
    assert fields["_id"] not in database.held
    assert (await writer.get(fields["_id"])).status == 404


@pytest.mark.parametrize("whose", ["nobody's", "the editor's"])
@pytest.mark.parametrize("how", DELETIONS)
async def test_a_deletion_of_what_is_not_stored_in_time_is_not_answered(
    clients: StartClients, database: FakeDatabase, how: str, whose: str
) -> None:
    """CouchDB would take it, and the persister would bring the document back."""
    writer, editor = await clients(change_patience=0.2, **heard(whose=whose))
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    with pytest.raises(BrokenError):
        await DELETIONS[how](editor, fields["_id"], revision)
    assert not database.writes
    assert (await writer.get(fields["_id"])).status == 200


@pytest.mark.parametrize("status", [404, 429, 500, 503, None])
@pytest.mark.parametrize("how", ["delete", "bulk", "purge"])
async def test_a_deletion_waits_while_couchdb_does_not_say_what_is_stored(
    clients: StartClients, database: FakeDatabase, how: str, status: int | None
) -> None:
    """It takes the deletion as soon as it is back, before the persister has stored the record."""
    writer, _ = await clients(change_patience=5)
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    stored = (await writer.get(fields["_id"])).json
    del stored["_rev"]
    asked = 0

    async def busy(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        if request.path != f"/{DATABASE}/_all_docs":
            return await database.couchdb.answer(request)
        asked += 1
        if status is None:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"error": "timeout", "reason": "busy"}, status=status or 500)

    database.answer = busy
    deleting = asyncio.ensure_future(DELETIONS[how](writer, fields["_id"], revision))
    await until(lambda: asked > 1 or deleting.done())
    assert not deleting.done()
    database.write(stored)
    database.answer = None
    assert (await deleting).status in (200, 201)
    assert fields["_id"] not in database.held


async def test_couchdb_that_never_says_what_is_stored_costs_no_more_than_the_patience(
    clients: StartClients, database: FakeDatabase
) -> None:
    writer, _ = await clients(change_patience=0.1)
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    asked, over = asyncio.Event(), asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        asked.set()
        await over.wait()
        return await database.couchdb.answer(request)

    database.answer = silent
    deleting = asyncio.ensure_future(writer.delete(fields["_id"], revision))
    await asked.wait()
    with pytest.raises(BrokenError):
        await deleting
    assert not over.is_set()
    over.set()
    assert not [one for one in database.seen if one.method == "DELETE"]


async def test_couchdb_is_asked_about_many_documents_at_once(
    clients: StartClients, database: FakeDatabase
) -> None:
    writer, _ = await clients()
    batch = [document() for _ in range(300)]
    await writer.store(batch)
    for fields in batch:
        database.write(fields)
    tombstones = [
        {"_id": one["_id"], "_rev": database.held[one["_id"]]["_rev"], "_deleted": True}
        for one in batch
    ]
    await writer.store(tombstones)
    assert database.held == {}
    assert len([one for one in database.seen if asks_what_is_stored(one)]) == 1


@pytest.mark.parametrize("path", ["/_bulk_docs", "/_bulk_docs?w=1"])
async def test_what_may_name_any_document_does_not_wait_for_those_that_come_meanwhile(
    clients: StartClients, database: FakeDatabase, path: str
) -> None:
    writer, editor = await clients(change_patience=5)
    first, second = document(), document()
    await writer.put(first)
    body = b'{"w":0,"docs":[{"_id":"a","x":[%b1]}]}' % (b"[]," * 700_000)
    sending = asyncio.ensure_future(editor.request("POST", f"/{DATABASE}{path}", body))
    await until(lambda: times_asked(database, first["_id"]) > 1 or sending.done())
    assert not sending.done()
    await writer.put(second)
    # Nobody reads it, so that nobody but the change notices.
    database.write(first)
    await sending
    assert "a" in {one["_id"] for one in database.writes[-1].documents}
    assert second["_id"] not in database.held


async def test_of_many_that_may_name_any_document_one_asks_about_all(
    clients: StartClients, database: FakeDatabase
) -> None:
    """There may be tens of thousands of documents, which each would list for itself."""
    writer, editor = await clients(change_patience=5)
    batch = [document() for _ in range(1500)]
    await writer.store(batch)
    database.seen.clear()

    def change() -> Awaitable[Answer]:
        path, packed = f"/{DATABASE}/_bulk_docs", {"Content-Encoding": "gzip"}
        return editor.request("POST", path, b"no file", packed)

    def asked() -> list[list[str]]:
        return [json.loads(one.body)["keys"] for one in database.seen if asks_what_is_stored(one)]

    changes = [asyncio.ensure_future(change()) for _ in range(20)]
    await until(lambda: len(asked()) > 20 + 3)
    # Each about one, for itself; then one about some, and again about the first until it is stored.
    assert sum(len(keys) > 1 for keys in asked()) == 1
    for fields in batch:
        database.write(fields)
    await asyncio.gather(*changes)  # raises what was not answered
    # What came before it asked was waited for by the first, and all others by the second.
    assert sum(map(len, asked())) < 4 * len(batch)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"X-HTTP-Method-Override": "GET", "Connection": "X-HTTP-Method-Override"},
    ],
)
async def test_what_the_gateway_does_not_read_as_couchdb_does_waits_until_all_are_stored(
    clients: StartClients, database: FakeDatabase, headers: dict[str, str]
) -> None:
    """A file of very many members, and a header that is for the gateway alone."""
    writer, editor = await clients(change_patience=0.2)
    fields = document()
    await writer.put(fields)
    body = json.dumps({"docs": [{"_id": fields["_id"], "_deleted": True}]}).encode()
    if "Content-Encoding" in headers:
        body = gzip.compress(b"") * 1000 + gzip.compress(body)
    with pytest.raises(BrokenError):
        await editor.request("POST", f"/{DATABASE}/_bulk_docs", body, headers)
    assert not database.writes


@pytest.mark.parametrize("path", ["/_bulk_docs", "/_bulk_docs?w=1"])
@pytest.mark.parametrize("much", [b"[]," * 700_000, b"1" * 9999 + b",", b" " * 99_999])
async def test_what_may_name_any_document_waits_until_all_are_stored(
    clients: StartClients, database: FakeDatabase, path: str, much: bytes
) -> None:
    writer, editor = await clients(change_patience=0.2)
    fields = document()
    await writer.put(fields)
    tombstone = json.dumps({"_id": fields["_id"], "_deleted": True}).encode()
    body = b'{"w":0,"docs":[{"_id":"a","x":[%b1]},%b]}' % (much, tombstone)
    with pytest.raises(BrokenError):
        await editor.request("POST", f"/{DATABASE}{path}", body)
    assert not database.writes
    stored = (await writer.get(fields["_id"])).json
    del stored["_rev"]
    database.write(stored)
    assert (await writer.get(fields["_id"])).status == 200
    await editor.request("POST", f"/{DATABASE}{path}", body)
    assert database.writes


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("function", ["_rewrite", "_rewrite/b?c=d", "_update/f", "_update/f/a%2Fb"])
async def test_what_a_design_document_may_change_waits_until_all_are_stored(
    clients: StartClients, database: FakeDatabase, method: str, function: str
) -> None:
    writer, _ = await clients(change_patience=0.2)
    fields, meanwhile = document(), document()
    path = f"/{DATABASE}/_design/a/{function}"
    reached: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.raw_path != path:
            return await database.couchdb.answer(request)
        reached.append(request)
        await writer.put(meanwhile)
        database.delete(fields["_id"])
        return web.json_response({"ok": True})

    database.answer = answer
    await writer.put(fields)
    stored = (await writer.get(fields["_id"])).json
    del stored["_rev"]
    with pytest.raises(BrokenError):
        await writer.request(method, path)
    assert not reached
    database.write(stored)
    assert (await writer.request(method, path)).status == 200
    assert len(reached) == 1
    assert (await writer.get(meanwhile["_id"])).status == 200
    assert meanwhile["_id"] not in database.held
    assert (await writer.put(fields)).status == 201
    assert fields["_id"] in database.held


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("answered", [304, 404, None])
@pytest.mark.parametrize("function", ["_rewrite", "_update/f"])
async def test_a_read_through_a_design_document_that_did_nothing_has_records_go_to_kafka(
    clients: StartClients,
    database: FakeDatabase,
    producer: FakeProducer,
    function: str,
    answered: int | None,
    method: str,
) -> None:
    """Any member can send one, and need not wait for the answer."""
    writer, _ = await clients()
    path = f"/{DATABASE}/_design/a/{function}"
    reached = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.raw_path != path:
            return await database.couchdb.answer(request)
        reached.set()
        if answered is not None:
            # The design document is gone.
            return web.json_response({"error": "not_found", "reason": "deleted"}, status=answered)
        await until(lambda: request.transport is None or request.transport.is_closing())
        return web.Response()

    database.answer = answer
    reading = asyncio.ensure_future(writer.request(method, path))
    await reached.wait()
    if answered is None:
        reading.cancel()
    await asyncio.wait({reading})
    sent = len(producer.sent)
    assert (await writer.put(document())).status == 201
    assert len(producer.sent) == sent + 1


async def test_a_document_that_was_deleted_under_an_escaped_name_is_written_by_couchdb(
    clients: StartClients, database: FakeDatabase
) -> None:
    writer, editor = await clients()
    fields = document()
    revision = database.write(fields)["rev"]
    tombstone = b'{"_id":"%b","_rev":"%b","_delete\\u0064":true}'
    body = b'{"docs":[%b]}' % tombstone % (fields["_id"].encode(), revision.encode())
    await editor.request("POST", f"/{DATABASE}/_bulk_docs", body)
    assert fields["_id"] not in database.held
    assert (await writer.put(fields)).status == 201
    assert fields["_id"] in database.held


@pytest.mark.parametrize("whose", ["nobody's", "the editor's"])
async def test_an_update_gets_the_answer_of_one_that_came_after_the_record(
    clients: StartClients, database: FakeDatabase, whose: str
) -> None:
    writer, editor = await clients(change_patience=5, **heard(whose=whose))
    fields = document()
    await writer.put(fields)
    body = json.dumps({"_id": fields["_id"], "name": "other"}).encode()
    updating = asyncio.ensure_future(editor.request("POST", f"/{DATABASE}", body))
    await until(lambda: times_asked(database, fields["_id"]) > 1 or updating.done())
    database.write(fields)
    assert (await updating).status == 409
    assert database.held[fields["_id"]]["name"] == fields["name"]


async def test_new_records_beside_a_change_that_waits_too_long_are_taken(
    clients: StartClients, database: FakeDatabase
) -> None:
    writer, editor = await clients(change_patience=0.2)
    fields, other = document(), document()
    revision = (await writer.put(fields)).json["rev"]
    with pytest.raises(BrokenError):
        await editor.store([{**fields, "name": "changed", "_rev": revision}, other])
    assert (await writer.get(other["_id"])).status == 200
    assert not database.held


@pytest.mark.parametrize("how", ["post", "bulk with a query", "purge"])
async def test_other_documents_do_not_wait(
    clients: StartClients, database: FakeDatabase, how: str
) -> None:
    writer, editor = await clients(change_patience=60)
    await writer.put(document())
    fields = document()
    revision = database.write(fields)["rev"]
    assert (await DELETIONS[how](editor, fields["_id"], revision)).status in (200, 201)
    assert fields["_id"] not in database.held
    assert times_asked(database, fields["_id"]) == 0


@pytest.mark.parametrize("how", ["post", "bulk with a query", "purge"])
async def test_who_may_not_write_is_refused_before_the_body_is_received(
    clients: StartClients, database: FakeDatabase, how: str
) -> None:
    writer, stranger = await clients()
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    database.couchdb.others.clear()
    assert (await DELETIONS[how](stranger, fields["_id"], revision)).status == 401
    assert not database.writes


@pytest.mark.parametrize("path", ["", "/_bulk_docs?w=1", "/_purge"])
async def test_what_names_nothing_goes_to_couchdb(
    clients: StartClients, database: FakeDatabase, path: str
) -> None:
    writer, editor = await clients()
    await writer.put(document())
    for body in (b"{", b"", b"[]", b'{"docs":1}'):
        await editor.request("POST", f"/{DATABASE}{path}", body)
        assert database.seen[-1].body == body


async def test_what_may_reach_kafka_later_is_not_changed_before_it_has(
    clients: StartClients, database: FakeDatabase, producer: FakeProducer
) -> None:
    """The persister would store it over the tombstone."""
    writer, editor = await clients(change_patience=5, fallback_after=0.1, recent_seconds=0.1)
    producer.answering = False
    first = asyncio.ensure_future(writer.put(document()))
    await producer.arrived.wait()
    waiting = (await editor.put(document())).json
    sent = (await first).json
    assert len(producer.sent) == 1
    # Nobody waits for the other one any more, and so Kafka never gets it.
    assert (await editor.delete(waiting["id"], waiting["rev"])).status == 200

    deleting = asyncio.ensure_future(editor.delete(sent["id"], sent["rev"]))
    assert (await writer.get(sent["id"])).status == 200
    assert not deleting.done()
    producer.answering = True
    assert (await deleting).status == 200
    assert database.held == {}
    assert len(producer.sent) == 1


async def test_what_was_written_for_a_client_that_left_and_is_sent_again(
    clients: StartClients, database: FakeDatabase, producer: FakeProducer
) -> None:
    """CouchDB has it from the gateway, and the persister would bring it back."""
    writer, _ = await clients(change_patience=0.2, fallback_after=0.1)
    producer.answering = False
    await writer.put(document())  # so that records go to CouchDB
    fields = document()
    stored, left = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = await database.couchdb.answer(request)
        if fields["_id"] in database.held:
            stored.set()
            await left.wait()
        return answer

    database.answer = slow
    first = asyncio.ensure_future(writer.store([fields]))
    await stored.wait()
    first.cancel()
    await asyncio.wait([first])
    left.set()
    database.answer = None
    producer.answering = True
    while fields["activationId"] not in str(producer.sent):  # so that records go to Kafka
        assert await writer.store([fields]) == [True]
    with pytest.raises(BrokenError):
        await writer.delete(fields["_id"], database.held[fields["_id"]]["_rev"])
    assert fields["_id"] in database.held


async def test_what_one_partition_took_of_what_another_refused(
    clients: StartClients, database: FakeDatabase, producer: FakeProducer
) -> None:
    producer.create(TOPIC, partitions=2, limit=20_000_000)
    writer, _ = await clients(change_patience=0.2, fallback_after=5)
    batch = [document() for _ in range(20)]
    producer.failures = [TopicAuthorizationFailedError()]
    assert await writer.store(batch) == [True] * 20
    assert len(database.held) == 20
    for fields in batch:
        if fields["activationId"] in str(producer.values(TOPIC)):
            break
    with pytest.raises(BrokenError):
        await writer.delete(fields["_id"], database.held[fields["_id"]]["_rev"])
    assert fields["_id"] in database.held


async def test_strangers_do_not_learn_what_may_reach_kafka_later(
    clients: StartClients, database: FakeDatabase, producer: FakeProducer
) -> None:
    writer, stranger = await clients(change_patience=60, fallback_after=0.1)
    producer.answering = False
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    database.couchdb.others.clear()
    for document_id in (fields["_id"], document()["_id"]):
        assert (await stranger.delete(document_id, revision)).status == 401
    producer.answering = True


async def test_what_does_not_reach_kafka_in_time_is_not_deleted(
    clients: StartClients, database: FakeDatabase, producer: FakeProducer
) -> None:
    writer, editor = await clients(change_patience=0.2, fallback_after=0.05)
    producer.answering = False
    fields = document()
    revision = (await writer.put(fields)).json["rev"]
    for how in ("delete", "bulk", "purge"):
        with pytest.raises(BrokenError):
            await DELETIONS[how](editor, fields["_id"], revision)
    assert fields["_id"] in database.held
    producer.answering = True


async def test_what_reached_kafka_late_is_changed_once_it_is_stored(
    clients: StartClients, database: FakeDatabase, producer: FakeProducer
) -> None:
    """Its client had given up; the second attempt was acknowledged, and nothing written here."""
    writer, editor = await clients(change_patience=0.2)
    producer.answering = False
    fields = document()
    first = asyncio.ensure_future(writer.put(fields))
    await producer.arrived.wait()
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.ensure_future(writer.put(fields))
    producer.answering = True
    assert (await second).status == 201
    assert len(producer.sent) == 2
    with pytest.raises(BrokenError):
        await editor.delete(fields["_id"], "1-a")
    revision = database.write(fields)["rev"]
    assert (await editor.delete(fields["_id"], revision)).status == 200
