"""CouchDB locks a user out for minutes after wrong passwords from the same address.

Whom it has accepted before is known to have the right to write. All else is CouchDB's to answer.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.fakes.time import until
from tests.openwhisk_client import OpenWhiskClient
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import DATABASE, FakeDatabase, FakeProducer, document


async def locked(_: web.Request) -> web.Response:
    reason = "Account is temporarily locked due to multiple authentication failures"
    return web.json_response({"error": "forbidden", "reason": reason}, status=403)


async def forbidden(_: web.Request) -> web.Response:
    reason = "You are not allowed to access this db."
    return web.json_response({"error": "forbidden", "reason": reason}, status=403)


@pytest.fixture
async def client(start: StartGateway, producer: FakeProducer) -> AsyncIterator[OpenWhiskClient]:
    gateway = await start(fallback_after=0.1, publish_deadline=20)
    made = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    assert await made.store([document()]) == [True]
    yield made
    producer.answering = True
    made.close()


async def test_new_records_of_one_who_is_locked_out_are_taken_and_nothing_else(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    database.answer = locked
    fields = document()
    revision = (await client.put(fields)).json["rev"]
    assert len(producer.sent) == 2
    assert (await client.get(fields["_id"])).status == 403  # not from the gateway's memory
    assert (await client.delete(fields["_id"], revision)).status == 403
    assert (await client.put({**fields, "name": "other"}, revision)).status == 403
    assert await client.store([document(), {**fields, "_rev": revision}]) == [False, False]
    assert len(producer.sent) == 2


async def test_while_kafka_is_away_a_lock_out_passes_and_loses_nothing(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    producer.answering = False
    database.answer = locked
    fields = document()
    storing = asyncio.create_task(client.store([fields]))
    await until(lambda: len(database.writes) > 1 or storing.done())
    assert not storing.done()
    database.answer = None
    assert await storing == [True]
    assert fields["_id"] in database.held


async def test_while_kafka_is_away_one_who_may_not_write_is_told_so(
    client: OpenWhiskClient, database: FakeDatabase, producer: FakeProducer
) -> None:
    producer.answering = False
    database.answer = forbidden
    assert (await client.put(document())).status == 403
