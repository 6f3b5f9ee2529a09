import asyncio
import base64
import gc
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web

from app.couchdb import Database
from app.couchdb import database as database_module
from app.couchdb.design_documents import design_documents
from app.couchdb.errors import (
    DatabaseError,
    DatabaseMissing,
    Misconfigured,
    RequestTooLarge,
    Unavailable,
)
from app.settings import DatabaseSettings
from app.storing.sink import Document
from tests.fakes.couchdb import (
    Answer,
    FakeCouchDB,
    Stored,
    cuts,
    fails,
    holds,
    rewrites,
    shows_page,
)

Connect = Callable[..., Awaitable[Database]]
MakeSettings = Callable[..., DatabaseSettings]
DESIGN = {f"_design/{name}" for name in design_documents()}
PASSWORD = "s3cret-päss"


def document(id_: str) -> Document:
    return Document(id_, json.dumps({"_id": id_, "n": 1}).encode())


@pytest.fixture
async def connect(settings: MakeSettings) -> AsyncIterator[Connect]:
    connected: list[Database] = []

    async def connect(**changed: object) -> Database:
        database = Database(settings(**changed))
        connected.append(database)
        await database.connect()
        return database

    yield connect
    for database in connected:
        await database.close()


async def test_a_missing_database_is_created_with_its_design_documents(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    assert couchdb.databases["activations"].keys() == DESIGN
    whisks = couchdb.databases["activations"]["_design/whisks.v2.1.0"].content
    assert whisks["language"] == "javascript"
    assert whisks["views"]["activations"]["reduce"] == "_count"


async def test_existing_design_documents_stay(database: Database, couchdb: FakeCouchDB) -> None:
    theirs = Stored({"_id": "_design/logCleanup", "views": {"theirs": {}}}, "1-theirs")
    couchdb.databases["activations"] = {"_design/logCleanup": theirs}
    await database.prepare()
    await database.prepare()
    assert couchdb.databases["activations"]["_design/logCleanup"] == theirs
    assert couchdb.databases["activations"].keys() == DESIGN


async def test_nothing_is_created_when_that_is_switched_off(
    connect: Connect, couchdb: FakeCouchDB
) -> None:
    database = await connect(create=False)
    with pytest.raises(DatabaseMissing):
        await database.prepare()
    couchdb.databases["activations"] = {}
    await database.prepare()
    assert couchdb.databases == {"activations": {}}


async def test_a_user_who_may_not_create_is_told_who_may(
    database: Database, couchdb: FakeCouchDB
) -> None:
    couchdb.administrator = False
    with pytest.raises(DatabaseMissing, match="administrator"):
        await database.prepare()


async def test_missing_rights_for_design_documents_do_not_stop_the_writing(
    database: Database, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    couchdb.administrator = False
    couchdb.databases["activations"] = {}
    await database.prepare()
    await database.prepare()
    assert {f"_design/{name}" for name in database.missing_design_documents} == DESIGN
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert (await database.bulk([document("a")])).entries[0].rev


async def test_wrong_credentials_are_an_error_without_the_password(
    connect: Connect, couchdb: FakeCouchDB
) -> None:
    couchdb.user = ("writer", PASSWORD)
    good = await connect(user="writer", password=PASSWORD)
    await good.prepare()
    bad = await connect(user="writer", password=PASSWORD + "x")
    for send in (bad.prepare, lambda: bad.bulk([document("a")]), lambda: bad.read_back(["a"])):
        with pytest.raises(Misconfigured) as error:
            await send()
        assert error.value.cause == "401"
        assert PASSWORD not in str(error.value)


async def test_no_server_is_unavailable_and_surely_not_written(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await couchdb.stop()
    for send in (database.prepare, lambda: database.bulk([document("a")]), database.info):
        with pytest.raises(Unavailable) as error:
            await send()
        assert error.value.cause == "connection"
        assert not error.value.maybe_written


async def test_a_cut_connection_may_have_been_written(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    couchdb.script(cuts(after_writing=True))
    with pytest.raises(Unavailable) as error:
        await database.bulk([document("a")])
    assert error.value.maybe_written
    assert "a" in couchdb.databases["activations"]


async def test_what_speaks_no_http_is_told_from_a_cut_connection(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()

    async def speaks_tls(request: web.Request, _answer: Answer) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"\x15\x03\x01\x00\x02\x02\x46")
        request.transport.close()
        return web.Response()

    couchdb.script(speaks_tls)
    with pytest.raises(Unavailable, match="cannot be read as HTTP"):
        await database.bulk([document("a")])


async def test_a_time_out_may_have_been_written(connect: Connect, couchdb: FakeCouchDB) -> None:
    couchdb.databases["activations"] = {}
    never = asyncio.Event()
    couchdb.script(holds(never))
    database = await connect(request_timeout=0.05)
    with pytest.raises(Unavailable) as error:
        await database.bulk([document("a")])
    assert error.value.cause == "timeout"
    assert error.value.maybe_written
    never.set()


async def failure(database: Database) -> str:
    """The cause of a failed request, of which nothing is kept (pytest.raises keeps frames)."""
    try:
        await database.bulk([document("a")])
    except DatabaseError as error:
        return error.cause
    return "none"


@pytest.mark.parametrize("cause", ["connection", "cut", "timeout", "503"])
async def test_a_failed_request_leaves_its_body_to_nobody(
    connect: Connect, couchdb: FakeCouchDB, cause: str
) -> None:
    database = await connect(request_timeout=0.05 if cause == "timeout" else 60)
    couchdb.databases["activations"] = {}
    if cause == "connection":
        await couchdb.stop()
    never = asyncio.Event()
    faults = {"cut": cuts(after_writing=False), "timeout": holds(never), "503": fails(503)}
    couchdb.script(*[faults[cause]] * 3 if cause in faults else [])

    def bodies() -> int:
        return sum(type(held) is BytesIO for held in gc.get_objects())

    gc.collect()
    before = bodies()
    gc.disable()  # as it hardly ever runs in a worker whose database is down
    try:
        assert [await failure(database) for _ in range(3)] == [cause] * 3
        assert bodies() == before
    finally:
        gc.enable()
        never.set()


async def test_a_page_in_place_of_an_answer_is_told_from_couchdb(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    couchdb.script(shows_page(201), shows_page(413), shows_page(400))
    for expected in (Unavailable, RequestTooLarge, Unavailable):
        with pytest.raises(expected):
            await database.bulk([document("a")])


async def test_reading_back_leaves_out_what_is_not_there(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    await database.bulk([document("a"), document("b")])
    couchdb.databases["activations"]["b"].deleted = True
    found = await database.read_back(["a", "b", "c"])
    assert found.keys() == {"a"}
    assert json.loads(found["a"])["n"] == 1


async def test_an_answer_is_read_as_far_as_it_is_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.prepare()
    monkeypatch.setattr(database_module, "LARGEST_ANSWER", 2000)
    few = [Document(id_, json.dumps({"_id": id_, "s": "x" * 700}).encode()) for id_ in "abcd"]
    await database.bulk(few)
    assert (await database.read_back(["a", "b", "c", "d"])).keys() == {"a", "b", "c", "d"}

    large = Document("e", json.dumps({"_id": "e", "s": "x" * 3000}).encode())
    await database.bulk([large])
    with pytest.raises(Unavailable, match="larger than 2000 bytes"):
        await database.read_back(["e"])


async def test_fewer_documents_are_asked_for_when_an_answer_is_larger_than_wanted(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    few = [Document(id_, json.dumps({"_id": id_, "s": "x" * 700}).encode()) for id_ in "abcd"]
    await database.bulk(few)
    assert (await database.read_back(["a", "b", "c", "d"], 2000)).keys() == {"a", "b", "c", "d"}
    assert couchdb.read_backs == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"]]
    # One alone may be larger.
    assert (await database.read_back(["a", "b"], 100)).keys() == {"a", "b"}


async def test_info_tells_version_and_size(database: Database) -> None:
    await database.prepare()
    info = await database.info()
    assert info.version == "3.5.0"
    assert info.documents == len(DESIGN)
    assert info.bytes > 0


async def test_a_large_body_is_sent_whole(database: Database, couchdb: FakeCouchDB) -> None:
    await database.prepare()
    large = Document("a", json.dumps({"_id": "a", "s": "x" * 3_000_000}).encode())
    await database.bulk([large])
    assert len(couchdb.databases["activations"]["a"].content["s"]) == 3_000_000


async def test_a_database_with_a_slash_in_its_name(connect: Connect, couchdb: FakeCouchDB) -> None:
    database = await connect(name="whisk/activations+1")
    await database.prepare()
    await database.bulk([document("a")])
    assert "a" in couchdb.databases["whisk/activations+1"]


async def test_every_error_is_a_database_error(database: Database) -> None:
    with pytest.raises(DatabaseError):
        await database.bulk([document("a")])


@pytest.mark.parametrize(
    "about",
    [
        {"props": None, "sizes": None, "instance_start_time": None},
        {"props": [], "sizes": {"file": "x"}, "instance_start_time": {}},
        {"doc_count": "x", "instance_start_time": 1},
    ],
)
async def test_what_the_database_says_of_itself_may_be_anything(
    database: Database,
    couchdb: FakeCouchDB,
    monkeypatch: pytest.MonkeyPatch,
    about: dict[str, object],
) -> None:
    couchdb.databases["activations"] = {}
    answer = web.json_response
    monkeypatch.setattr(couchdb, "_about_database", lambda *_: answer({"doc_count": 1, **about}))
    await database.prepare()
    assert database.identity
    assert (await database.info()).bytes == 0


@pytest.mark.parametrize("row", [1, None, {"id": 1}])
async def test_a_list_of_design_documents_that_is_none_is_not_couchdbs(
    database: Database, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch, row: object
) -> None:
    couchdb.databases["activations"] = {}

    async def all_docs(*_: object) -> web.Response:
        return web.json_response({"rows": [row]})

    monkeypatch.setattr(couchdb, "_all_docs", all_docs)
    with pytest.raises(Unavailable):
        await database.missing()


async def test_a_record_of_many_levels_vouches_for_the_database_all_the_same(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    deep = b'{"_id":"a","r":' + b"[" * 25_000 + b"]" * 25_000 + b"}"
    assert await database.probe(Document("a", deep))
    assert couchdb.probes


async def test_a_probe_with_two_answers_does_not_pass(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    couchdb.script(rewrites(lambda entries: entries * 2))
    assert not await database.probe(None)


async def test_one_about_another_document_neither(database: Database, couchdb: FakeCouchDB) -> None:
    await database.prepare()
    couchdb.script(rewrites(lambda _: [{"id": "who", "rev": "1-x"}], writing=False))
    assert not await database.probe(None)


@pytest.mark.parametrize("status", [400, 404, 405, 501, 302])
async def test_a_proxy_may_know_nothing_of_the_mark(
    database: Database, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    await database.prepare()
    before = database.identity

    async def page(*_: object) -> web.Response:
        return web.Response(status=status, text="<html>")

    monkeypatch.setattr(couchdb, "_local_document", page)
    assert await database.look()
    assert database.identity == before


async def test_a_right_to_the_mark_that_is_lost_makes_it_no_other_database(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.prepare()
    couchdb.may_mark = False
    assert await database.look()


@pytest.mark.parametrize("cookie", [r'"a\012X: y"', r'"a\073 b=c"', "", "ä", "a b"])
async def test_a_cookie_that_is_none_is_not_sent(
    connect: Connect, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch, cookie: str
) -> None:
    couchdb.user, couchdb.sessions = ("writer", PASSWORD), True

    async def session(*_: object) -> web.Response:
        return web.Response(headers={"Set-Cookie": f"AuthSession={cookie}; Path=/"})

    monkeypatch.setattr(FakeCouchDB, "_make_session", session)
    await couchdb.stop()
    await couchdb.restart()
    database = await connect(user="writer", password=PASSWORD)
    await database.prepare()


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_without_sessions_there_is_basic(
    connect: Connect, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Whatever a proxy says to a path that it has no server for."""
    couchdb.user, couchdb.sessions = ("writer", PASSWORD), True

    async def session(*_: object) -> web.Response:
        return web.Response(status=status, text="<html>")

    monkeypatch.setattr(FakeCouchDB, "_make_session", session)
    await couchdb.stop()
    await couchdb.restart()
    database = await connect(user="writer", password=PASSWORD)
    await database.prepare()


@pytest.mark.parametrize("body", [PASSWORD.encode(), json.dumps({"error": PASSWORD}).encode()])
async def test_the_password_is_cut_out_of_an_error(
    connect: Connect, couchdb: FakeCouchDB, body: bytes
) -> None:
    async def echo(*_: object) -> web.Response:
        return web.Response(status=500, body=body)

    couchdb.user = ("writer", PASSWORD)
    database = await connect(user="writer", password=PASSWORD)
    await database.prepare()
    couchdb.script(echo)
    with pytest.raises(DatabaseError) as failed:
        await database.bulk([document("a/1")])
    assert PASSWORD not in str(failed.value)
    assert "***" in str(failed.value)


@pytest.mark.parametrize(
    "repeats_in", ["an error", "a success", "a content type", "an entry", "an entry's error"]
)
async def test_what_a_server_repeats_of_a_request_proves_nothing_to_others(
    connect: Connect, couchdb: FakeCouchDB, repeats_in: str
) -> None:
    """As proxies do that show the request which they could not pass on."""
    sent = []

    async def echo(request: web.Request, *_: object) -> web.Response:
        sent.append(proof := request.headers["Cookie"].partition("=")[2])
        basic = base64.b64encode(f"writer:{PASSWORD}".encode()).decode()
        sent.append(basic)
        said = f"you sent {proof} or {basic}"
        if "entry" in repeats_in:
            error, reason = ("forbidden", said) if repeats_in == "an entry" else (said, "")
            entry = {"id": "a/1", "error": error, "reason": reason}
            return web.json_response([entry], status=201)
        if repeats_in == "a content type":
            return web.Response(status=500, headers={"Content-Type": said})
        return web.Response(status=500 if repeats_in == "an error" else 201, text=said)

    couchdb.user = ("writer", PASSWORD)
    couchdb.sessions = True
    database = await connect(user="writer", password=PASSWORD)
    await database.prepare()
    couchdb.script(echo)
    try:
        (entry,) = (await database.bulk([document("a/1")])).entries
        told = entry.explanation
    except DatabaseError as error:
        told = str(error)
    assert "you sent *** or ***" in told
    assert sent
    assert not any(proof in told for proof in sent)


@pytest.mark.parametrize("written", [-1, 2**63, "9" * 4000, "true", '"1"'])
async def test_sizes_that_none_is_of_are_not_shown(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, written: object
) -> None:
    database = await connect()
    await database.prepare()
    about = b'{"doc_count":7,"sizes":{"file":%s},"version":"x"}' % str(written).encode()

    async def answer(*_: object) -> tuple[int, bytes]:
        return 200, about

    monkeypatch.setattr(database, "_request", answer)
    info = await database.info()
    assert (info.documents, info.bytes) == (7, 0)


@pytest.mark.parametrize("reason", [f"no {PASSWORD}", {"a": [PASSWORD]}])
async def test_the_password_is_cut_out_of_a_reason(
    connect: Connect, couchdb: FakeCouchDB, reason: object
) -> None:
    async def echo(*_: object) -> web.Response:
        entry = {"id": "a/1", "error": "forbidden", "reason": reason}
        return web.json_response([entry], status=201)

    couchdb.user = ("writer", PASSWORD)
    database = await connect(user="writer", password=PASSWORD)
    await database.prepare()
    couchdb.script(echo)
    (entry,) = (await database.bulk([document("a/1")])).entries
    assert PASSWORD not in entry.explanation
    assert "***" in entry.explanation


@pytest.mark.parametrize(
    "security, administers",
    [
        ({"admins": {"names": ["writer"], "roles": []}}, True),
        ({"admins": {"names": ["other"], "roles": ["_admin"]}}, False),
        ({"admins": {"names": "writer"}}, False),
        ({}, False),
    ],
)
async def test_who_administers_a_database_is_the_servers_admin_or_named_there(
    connect: Connect, couchdb: FakeCouchDB, security: dict[str, Any], *, administers: bool
) -> None:
    couchdb.user, couchdb.security = ("writer", PASSWORD), security
    couchdb.databases["activations"] = {}
    database = await connect(user="writer", password=PASSWORD)
    assert await database.administers() is True
    couchdb.administrator = False
    assert await database.administers() is administers
    couchdb.member = False
    assert await database.administers() is None
