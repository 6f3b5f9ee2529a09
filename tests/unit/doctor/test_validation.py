"""Whether the database's validation functions take what is written, without writing anything."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.couchdb import Database
from app.couchdb.errors import Unavailable
from app.doctor import State
from app.doctor.validation import examine_validation, probed
from app.settings import DatabaseSettings
from tests.fakes.couchdb import PAGE, Answer, FakeCouchDB, RefusalError


@pytest.fixture
async def couchdb() -> AsyncIterator[FakeCouchDB]:
    server = FakeCouchDB()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def database(couchdb: FakeCouchDB) -> AsyncIterator[Database]:
    database = Database(DatabaseSettings(url=couchdb.url, name="activations"))
    await database.connect()
    await database.prepare()
    yield database
    await database.close()


GUARD = b'{"docs":[{"_id":"_design/guard","validate_doc_update":"function () {}"}]}'


async def test_without_any_all_is_well(database: Database) -> None:
    assert (await examine_validation(database)).state is State.OK


async def test_what_a_worker_has_not_tried_is_not_tried_here(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.ask("POST", "_bulk_docs", GUARD, read=bytes)
    before = len(couchdb.bulk_requests)
    found = await examine_validation(database)
    assert found.state is State.WARNING
    assert "_design/guard may refuse" in found.detail
    assert len(couchdb.bulk_requests) == before


async def test_what_a_worker_has_tried_is_tried_again(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.ask("POST", "_bulk_docs", GUARD, read=bytes)
    await database.check_takes_documents()
    assert (await examine_validation(database)).state is State.OK
    couchdb.validate = lambda _: {"error": "forbidden", "reason": "only admins write here"}
    found = await examine_validation(database)
    assert found.state is State.WRONG
    assert "only admins write here" in found.detail
    assert "validate_doc_update" in found.detail


async def test_a_probe_that_is_refused_while_documents_are_taken_is_no_trouble(
    database: Database, couchdb: FakeCouchDB
) -> None:
    await database.ask("POST", "_bulk_docs", GUARD, read=bytes)
    couchdb.validate = lambda one: one.get("_deleted") and "nothing is deleted"
    await database.learn_refusal("forbidden: nothing is deleted")
    found = await examine_validation(database)
    assert found.state is State.OK
    assert "nothing is deleted" in found.detail


async def test_a_note_that_is_there_already_is_no_trouble(
    database: Database, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conflict(*_: object) -> web.Response:
        raise RefusalError(409, "conflict", "Document update conflict.")

    monkeypatch.setattr(couchdb, "_local_document", conflict)
    await database.learn_refusal("forbidden: nothing is deleted")
    assert database.usual_refusal == "forbidden: nothing is deleted"


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=200, text=PAGE, content_type="text/html"),
        web.Response(status=201, text=PAGE, content_type="text/html"),
        web.json_response([{"id": "a", "error": "forbidden", "reason": "no"}], status=201),
        web.json_response({"ok": True}, status=201),
        web.json_response(None, status=200),
    ],
    ids=["page", "created page", "entries", "object", "null"],
)
async def test_only_couchdb_grants_the_right_to_write(
    database: Database, couchdb: FakeCouchDB, answer: web.Response
) -> None:
    await database.check_right_to_write()

    async def instead(_request: web.Request, _answer: Answer) -> web.Response:
        return answer

    couchdb.script(instead)
    with pytest.raises(Unavailable):
        await database.check_right_to_write()


def test_the_probe_is_there_only_where_the_database_says_so() -> None:
    there = {"id": "p", "key": "p", "value": {"rev": "1-x", "deleted": True}, "doc": None}
    assert probed(json.dumps({"rows": [there]}).encode())
    assert not probed(json.dumps({"rows": [{"key": "p", "error": "not_found"}]}).encode())
