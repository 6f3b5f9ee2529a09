"""What may have been changed counts only of clients who have the right to change it.

Whoever else sends such a request, and does not wait for its answer, has records neither go past
Kafka nor push out what is known of real deletions.
"""

import asyncio
import gzip
from base64 import b64encode
from collections.abc import Mapping
from string import Template
from typing import Final, NamedTuple

import pytest
from aiohttp import web

from tests.fakes.time import until
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import DATABASE, FakeDatabase, FakeProducer, Running, document

JSON: Final = {"Content-Type": "application/json"}
TOMBSTONE: Final = '{"_id":"$id","_rev":"$rev","_deleted":true}'


class Change(NamedTuple):
    """A request that may delete a document, with its id and revision to be filled in."""

    method: str
    path: str = ""
    body: str = ""
    headers: Mapping[str, str] = {}

    def about(self, document_id: str, revision: str) -> "Change":
        names = {"id": document_id, "rev": revision, "path": document_id.replace("/", "%2F")}
        path, body = (Template(one).substitute(names) for one in (self.path, self.body))
        headers = {name: Template(one).substitute(names) for name, one in self.headers.items()}
        return Change(self.method, f"/{DATABASE}{path}", body, headers)


CREATE: Final = "creation"
UNREADABLE: Final = "bulk that the gateway cannot read"

CHANGES: Final = {
    "drop": Change("DELETE"),
    "drop by a POST": Change("POST", headers={"X-HTTP-Method-Override": "DELETE"}),
    CREATE: Change("PUT"),
    "deletion": Change("DELETE", "/$path?rev=$rev"),
    "put with a query": Change("PUT", "/$path?w=1", TOMBSTONE),
    "copy": Change("COPY", "/a", headers={"Destination": "$path"}),
    "post": Change("POST", "", TOMBSTONE, JSON),
    "bulk": Change("POST", "/_bulk_docs?w=1", f'{{"docs":[{TOMBSTONE}]}}', JSON),
    "purge": Change("POST", "/_purge", '{"$id":["$rev"]}', JSON),
    UNREADABLE: Change("POST", "/_bulk_docs", f'{{"docs":[{TOMBSTONE}]}}', JSON),
}
DROP: Final = CHANGES["drop"].about("", "")
OF_THE_DATABASE: Final = {"drop", "drop by a POST", CREATE}
READ_BY_THE_GATEWAY: Final = {"post", "bulk", "purge", UNREADABLE}

USERS: Final = {
    "nobody": "",
    "a wrong password": "whisk:wrong",
    "no member": "editor:secret",
    "a member": "editor:secret",
    "a member whose documents are validated": "editor:secret",
    "a server admin": "editor:secret",
}

LEAVES: Final = {"client leaves", "client leaves amid its body", "client leaves amid the answer"}
BREAKS: Final = {"couchdb breaks off", "couchdb breaks off its answer"}


def has_the_right(who: str, what: str) -> bool:
    return who == "a server admin" or (who.startswith("a member") and what not in OF_THE_DATABASE)


async def known(gateway: Running, database: FakeDatabase) -> None:
    """Have the writer accepted, and the gateway remember a record, so that it reads all bodies."""
    fields = document()
    async with gateway.put_document(fields) as answer:
        assert answer.status == 201
    database.write(fields)


class Passing:
    """CouchDB carries out what has the right to be, and its answer ends as a test wants."""

    def __init__(self, database: FakeDatabase, end: str) -> None:
        self._couchdb = database.couchdb
        self._end = end
        self.reached = asyncio.Event()
        self.left = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self._end == "client leaves amid its body":
            answer: web.StreamResponse = web.Response(status=202)  # as if it needs none
        else:
            answer = await self._carried_out(request)
        self.reached.set()
        if self._end in ("client leaves amid the answer", "couchdb breaks off its answer"):
            answer = web.StreamResponse(status=answer.status, headers={"Content-Length": "99"})
            await answer.prepare(request)
            await answer.write(b"{")
        if self._end in BREAKS:
            assert request.transport is not None
            request.transport.abort()
        if self._end in LEAVES:
            await until(lambda: request.transport is None or request.transport.is_closing())
            self.left.set()
        return answer

    async def _carried_out(self, request: web.Request) -> web.StreamResponse:
        if "X-HTTP-Method-Override" in request.headers:
            request = request.clone(method="DELETE")
        elif request.method == "COPY" or "Content-Encoding" in request.headers:
            about_database = request.clone(method="GET", rel_url=f"/{DATABASE}")
            answer = await self._couchdb.answer(about_database)
            done = web.json_response({"ok": True}, status=201)
            return done if answer.status < 300 else answer
        return await self._couchdb.answer(request)


async def send(
    gateway: Running,
    passing: Passing,
    change: Change,
    user: str,
    end: str = "answered",
    *,
    zipped: bool = False,
) -> bytes:
    """Send a request, and return its answer when the gateway is done with it."""
    body = change.body.encode()
    if end == "client leaves amid its body":
        body = body or b"[]"
    headers = {"Host": "couchdb", "Connection": "close", **change.headers}
    if zipped:
        body = gzip.compress(b"") * 1000 + gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    if user:
        headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    lines = [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    line = f"{change.method} {change.path} HTTP/1.1"
    writer.write("\r\n".join([line, *lines, "", ""]).encode())
    writer.write(body[:1] if end == "client leaves amid its body" else body)
    answered = asyncio.ensure_future(reader.read(65536))
    reached = asyncio.ensure_future(passing.reached.wait())
    await asyncio.wait({answered, reached}, return_when=asyncio.FIRST_COMPLETED)
    if end in LEAVES:
        writer.close()
        if passing.reached.is_set():
            await passing.left.wait()
    reached.cancel()
    answer = await answered
    writer.close()
    return answer


@pytest.mark.parametrize("end", ["answered", *sorted(LEAVES), *sorted(BREAKS)])
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("who", USERS)
async def test_a_change_counts_of_whom_couchdb_lets_change_it(
    start: StartGateway,
    database: FakeDatabase,
    producer: FakeProducer,
    who: str,
    what: str,
    end: str,
) -> None:
    gateway = await start(
        authorized_users={"whisk"} if who.endswith("are validated") else frozenset(),
        receive_pause=0.1 if end == "client leaves amid its body" else 5,
    )
    await known(gateway, database)
    couchdb = database.couchdb
    couchdb.others["editor"] = "secret"
    couchdb.administrator = who == "a server admin"
    couchdb.member = who != "no member"
    fields = document()
    revision = database.write(fields)["rev"]

    passing = Passing(database, end)
    database.passed = passing.answer
    change = CHANGES[what].about(fields["_id"], revision)
    await send(gateway, passing, change, USERS[who], end, zipped=what == UNREADABLE)
    database.passed = None
    couchdb.member = True
    couchdb.databases.setdefault(DATABASE, {})
    sent = len(producer.sent)
    async with gateway.put_document(fields) as answer:
        assert answer.status in (201, 409)
    reached = what not in READ_BY_THE_GATEWAY or end != "client leaves amid its body"
    done = what != CREATE or end != "answered"
    counts = has_the_right(who, what) and reached and done
    assert (len(producer.sent) == sent) == counts


def session(
    database: FakeDatabase, monkeypatch: pytest.MonkeyPatch, status: int, text: str
) -> None:
    """What CouchDB says of whoever asks who he is."""

    def about_session(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    monkeypatch.setattr(database.couchdb, "_about_session", about_session)


@pytest.mark.parametrize("end", ["answered", "couchdb breaks off"])
@pytest.mark.parametrize(
    "status, text",
    [
        (403, ""),
        (404, ""),
        (200, "<html>"),
        (200, "{}"),
        (200, '{"userCtx":{"roles":1}}'),
        (302, '{"userCtx":{"roles":["_admin"]}}'),
    ],
)
async def test_where_nobody_says_who_is_an_admin_the_answer_does(
    start: StartGateway,
    database: FakeDatabase,
    producer: FakeProducer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    text: str,
    end: str,
) -> None:
    """A proxy may let only the database's own paths through."""
    gateway = await start()
    await known(gateway, database)
    session(database, monkeypatch, status, text)
    passing = Passing(database, end)
    database.passed = passing.answer
    await send(gateway, passing, DROP, "whisk:secret", end)
    database.passed = None
    assert DATABASE not in database.couchdb.databases
    database.couchdb.databases[DATABASE] = {}
    async with gateway.put_document(document()) as answer:
        assert answer.status == 201
    assert (len(producer.sent) == 1) == (end == "answered")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_the_database_is_not_dropped_while_couchdb_cannot_say_who_may(
    start: StartGateway, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Whether it was could not be known either."""
    gateway = await start()
    session(database, monkeypatch, status, "")
    passing = Passing(database, "answered")
    database.passed = passing.answer
    answer = await send(gateway, passing, DROP, "whisk:secret")
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert DATABASE in database.couchdb.databases
    assert not passing.reached.is_set()


async def test_a_wrong_password_for_a_drop_costs_one_attempt(
    start: StartGateway, database: FakeDatabase
) -> None:
    gateway = await start()
    passing = Passing(database, "answered")
    database.passed = passing.answer
    answer = await send(gateway, passing, DROP, "whisk:wrong")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"Name or password is incorrect." in answer
    assert database.couchdb.wrong_passwords == 1
