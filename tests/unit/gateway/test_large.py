"""Large bodies are taken apart as small ones are, and nobody waits for them."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwhisk.gateway import large
from openwhisk.gateway.counts import few_documents
from openwhisk.gateway.records import bulk_documents, id_of
from openwhisk.gateway.turns import Steps, Turns
from tests.support import cost, longest_turn
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import BASIC, DATABASE, FakeDatabase, document

T = TypeVar("T")

MB = 1024 * 1024

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_documents = st.dictionaries(st.sampled_from(["_id", "a", "docs"]) | st.text(), _values)

BODIES = [
    b'{"docs":[]}',
    b' {\n"new_edits" : true , "docs" : [ {"a":[1,"]}\\""]} , {} ] } ',
    b'{"docs":[{"_id":"a"}],"new_edits":false}',
    b'{"docs":[{"_id":"a"}],"all_or_nothing":true}',
    b'{"docs":[{}],"docs":[]}',
    b'{"docs":[{},]}',
    b'{"docs":[{}{}]}',
    b'{"docs":[{}]}x',
    b'{"docs":[{}]',
    b'{"docs":[{"a":"\\',
    b'{"docs":["',
    b'{"docs":[1]}',
    b'{"docs":[{},1]}',
    b'{"docs":{}}',
    b"{}",
    b"",
]


def decoded(body: bytes) -> list[bytes] | None:
    """What is made of a small body."""
    return bulk_documents(body) if few_documents(body, 3) else None


class UnknownError(Exception):
    """It cannot be said which id a document has."""


def said(document: bytes) -> str | None:
    """What is made of a small document."""
    try:
        return id_of(document)
    except ValueError:
        raise UnknownError from None


async def found(document: bytes, members: int = 100_000) -> str | None:
    """What is made of a large one."""
    try:
        return await done(large.id_of(document, members=members))
    except ValueError:
        raise UnknownError from None


async def done(steps: Steps[T]) -> T:
    return await Turns().run("a client", steps)


async def scanned(body: bytes) -> list[bytes] | None:
    found = await done(large.documents(body, 3))
    return None if found is None else [bytes(view) for view in found]


@pytest.mark.parametrize("body", [body for body in BODIES if body != b'{"docs":[{}],"docs":[]}'])
async def test_a_body_is_taken_apart_the_same_whatever_its_size(body: bytes) -> None:
    assert await scanned(body) == decoded(body)


async def test_documents_that_are_given_twice_are_left_to_couchdb() -> None:
    assert await scanned(b'{"docs":[{}],"docs":[]}') is None


@settings(max_examples=30)
@given(st.lists(_documents, max_size=5), st.sampled_from([None, 1]))
def test_any_documents_are_found(documents: list[dict[str, object]], indent: int | None) -> None:
    body = json.dumps({"docs": documents}, indent=indent, ensure_ascii=indent is None)
    sent = body.encode(errors="replace")
    assert asyncio.run(scanned(sent)) == decoded(sent)


@settings(max_examples=30)
@given(_documents)
def test_any_id_is_found(fields: dict[str, object]) -> None:
    sent = json.dumps(fields).encode()
    try:
        named = said(sent)
    except UnknownError:
        with pytest.raises(UnknownError):
            asyncio.run(found(sent))
    else:
        assert asyncio.run(found(sent)) == named


@pytest.mark.parametrize(
    "body,named",
    [
        (b'{"_id":"a","_id":"b"}', "b"),
        (b'{"_id":null,"_id":"b"}', "b"),
        (b'{"_id":"a","_id":["b"]}', None),
        (b'{"_id":1}', None),
        (b'{"\\u005fid":"a\\u0062"}', "ab"),
        (b'{"x":{"_id":"a"}}', None),
        (b'{"' + b"x" * 100_000 + b'":1,"_id":"a"}', "a"),
        (b'{"\\u005f\\u0069\\u0064":"a"}', "a"),
        (b'{"_id":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}", "a"),
        (b'{"_id":"' + b"a" * 100_000 + b'"}', None),
        (b"{}", None),
    ],
)
async def test_an_id_is_one_of_the_fields(body: bytes, named: str | None) -> None:
    assert await found(body) == named


@pytest.mark.parametrize(
    "body",
    [
        b'{"_id":"\\ud800"}',
        b'{"x":' + b"1" * 100_000 + b"}",
        b'{"_id":"a",}',
        b'{"_id":"a"',
        b'{"_id":"a"]',
        b'{"_id"',
        b"{1}",
        b"[]",
        b"",
    ],
)
async def test_a_document_whose_id_cannot_be_said_is_known_as_such(body: bytes) -> None:
    with pytest.raises(UnknownError):
        await found(body)


@pytest.mark.parametrize(
    "unit", [b"[", b"{", b'{"a":', b'"', b'"\\', b"\\", b"[],", b'"",', b" ", b"1,"]
)
def test_nothing_takes_long(unit: bytes) -> None:
    body = b'{"docs":[{"a":[' + unit * (MB // len(unit))

    async def looked_at() -> None:
        assert await done(large.documents(body)) is None
        with pytest.raises(UnknownError):
            await found(body[9:])

    assert cost(lambda: asyncio.run(looked_at())) < 400


@pytest.mark.parametrize("member", [b'"":""', b'"a":1', b'"a" : 1 ', b'"_id":"b"', b'"":[]'])
async def test_the_id_of_more_members_than_the_bound_cannot_be_said(member: bytes) -> None:
    body = b'{"_id":"a"' + (b"," + member) * 9 + b"}"
    assert await found(body, members=10) == await found(body)
    assert await found(body, members=10) is not None
    with pytest.raises(UnknownError):
        await found(body, members=9)


async def test_a_body_of_more_members_than_the_bound_is_left_to_couchdb() -> None:
    body = b'{"new_edits":true,"new_edits":true,"docs":[{}]}'
    assert [bytes(view) for view in await done(large.documents(body, members=3)) or []] == [b"{}"]
    assert await done(large.documents(body, members=2)) is None


@pytest.mark.parametrize(
    "begin,member",
    [
        (b'{"docs":[{', b'"":"",'),
        (b'{"docs":[{', b'"a":1,'),
        (b'{"docs":[{', b'"a" : 1 ,'),
        (b"{", b'"new_edits":true,'),
    ],
)
async def test_nobody_waits_for_short_members(begin: bytes, member: bytes) -> None:
    body = begin + member * (8 * MB // len(member)) + b'"b":1}]}'

    async def looked_at() -> None:
        taken_apart = await done(large.documents(body))
        assert len(taken_apart or []) == (begin != b"{")
        with pytest.raises(UnknownError):
            await found(body[len(begin) - 1 :])

    looking = asyncio.create_task(looked_at())
    assert await longest_turn(looking) < 0.2
    await looking


async def test_strings_and_values_may_end_anywhere_in_a_piece() -> None:
    for length in range(64 * 1024 - 30, 64 * 1024 + 5):
        one = b'{"a":"%b\\"","b":[{}]}' % (b"x" * length)
        assert await scanned(b'{"docs":[%b,{}]}' % one) == [one, b"{}"]


@pytest.mark.parametrize(
    "parts",
    [
        [b",", b"{}"] * 200_000,
        [b"x" * 300_000] * 3,
        [b"[", b"x" * 256 * 1024, b",", b"y" * 1000, b"z" * 255 * 1024, b"]"],
        [],
    ],
)
async def test_a_body_is_sent_in_few_pieces_none_of_which_is_long(parts: list[bytes]) -> None:
    sent = [bytes(piece) async for piece in large.pieces(parts)]
    assert b"".join(sent) == b"".join(parts)
    assert all(0 < len(piece) <= 256 * 1024 for piece in sent)
    # Two of them, one after the other, are longer than one may be, or begin a part.
    assert len(sent) <= 2 * sum(map(len, parts)) // (256 * 1024) + 1


class _Sink(threading.Thread):
    """A CouchDB in a thread of its own, which takes everything."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.received = 0

    def run(self) -> None:
        while True:
            try:
                connection = self._server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (header := stream.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                while length:
                    piece = stream.read1(min(length, MB))
                    length -= len(piece)
                    self.received += len(piece)
                status, body = b"201 Created", b"[]"
                if line.startswith(b"GET"):
                    status, body = b"200 OK", b'{"rows":[],"userCtx":{"name":"whisk"}}'
                head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
                connection.sendall(head + body)


@pytest.fixture
def sink(database: FakeDatabase) -> Iterator[_Sink]:
    taking = _Sink()
    taking.start()
    database.url = taking.url
    yield taking
    taking.close()


def _send(port: int, body: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = (
            f"POST /{DATABASE}/_bulk_docs HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Content-Type: application/json\r\n"
            f"Authorization: {BASIC['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.sendall(head.encode())
        client.sendall(body)
        return client.recv(100)


@pytest.mark.parametrize("value", [["x" * 1000] * 125_000, "x" * 125 * MB], ids=["logs", "string"])
async def test_nobody_waits_for_a_large_document(
    start: StartGateway, sink: _Sink, value: object
) -> None:
    gateway = await start(max_body_bytes=256 * MB, bytes_in_flight=256 * MB)
    body = json.dumps({"docs": [document(response={"statusCode": 0, "result": value})]}).encode()
    sending = asyncio.create_task(asyncio.to_thread(_send, gateway.port, body))
    longest = await longest_turn(sending)
    assert b" 201 " in await sending
    assert sink.received > len(body)
    # Twice as large as the gateway takes by default.
    assert longest < 0.2


@pytest.mark.usefixtures("sink")
async def test_nobody_waits_for_many_small_documents_that_pass_through(start: StartGateway) -> None:
    gateway = await start()
    # So that there is one for which the gateway has to look out.
    url = f"{gateway.url}/{DATABASE}/_bulk_docs"
    await gateway.client.post(url, json={"docs": [document()]}, headers=BASIC)
    body = json.dumps({"docs": [{"_id": f"guest/{number}"} for number in range(9900)]}).encode()
    sending = asyncio.gather(*(asyncio.to_thread(_send, gateway.port, body) for _ in range(4)))
    assert await longest_turn(sending) < 0.1
    assert all(b" 201 " in answer for answer in await sending)
