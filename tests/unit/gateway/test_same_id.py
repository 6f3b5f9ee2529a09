"""One id twice in a request: CouchDB sees both, in order, whatever the first one looks like."""

import pytest
from aiohttp import web

from tests.unit.gateway.doubles import FakeDatabase, FakeProducer, Running, document, encoded

MB = 1024 * 1024
DEEP = b"[" * 5000 + b"]" * 5000

FIRST = {
    "deep": b'{"_id":%b,"x":' + DEEP + b"}",
    "deep, and the id behind": b'{"x":' + DEEP + b',"_id":%b}',
    "deep and large": b'{"_id":%b,"y":"' + b"y" * 3 * MB + b'","x":' + DEEP + b"}",
    "spread out": b'{"y":1,' + b" " * 1000 + b'"_id":%b}',
    "spread out and large": b'{"y":"' + b"y" * 3 * MB + b'",' + b" " * 1000 + b'"_id":%b}',
}


@pytest.mark.parametrize("padding", [0, 3 * MB], ids=["small", "large"])
@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
async def test_an_id_twice_goes_to_couchdb_in_order(
    gateway: Running, database: FakeDatabase, producer: FakeProducer, first: bytes, padding: int
) -> None:
    fields = document()
    one = first % encoded(fields["_id"])
    filling = b'{"_id":"filling","y":"%b"}' % (b"y" * padding)
    two = encoded(fields)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response([{"id": "as told"}] * 3, status=201)

    database.answer = answer
    body = b'{"docs":[%b,%b,%b]}' % (one, filling, two)
    async with gateway.bulk(body) as answered:
        assert answered.status == 201
    (write,) = database.writes
    assert write.body.count(b'"_id"') == 3
    assert write.body.index(one) < write.body.index(two)
    assert producer.sent == []


async def test_a_record_beside_a_deep_document_of_another_id_is_taken(
    gateway: Running, database: FakeDatabase, producer: FakeProducer
) -> None:
    deep = b'{"_id":"guest/other","y":"%b","x":%b}' % (b"y" * 3 * MB, DEEP)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response([{"id": "as told"}], status=201)

    database.answer = answer
    async with gateway.bulk(b'{"docs":[%b,%b]}' % (deep, encoded(document()))) as answered:
        assert answered.status == 201
    assert len(producer.sent) == 1
    (write,) = database.writes
    assert write.body == b'{"docs":[%b]}' % deep
