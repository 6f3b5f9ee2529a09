"""Whether the database's validation functions take what is written, without writing anything."""

import json
from collections.abc import AsyncIterator

import pytest

from app.couchdb import Database
from app.doctor import State
from app.doctor.validation import examine_validation, probed
from app.settings import DatabaseSettings
from tests.fakes.couchdb import FakeCouchDB


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


def test_the_probe_is_there_only_where_the_database_says_so() -> None:
    there = {"id": "p", "key": "p", "value": {"rev": "1-x", "deleted": True}, "doc": None}
    assert probed(json.dumps({"rows": [there]}).encode())
    assert not probed(json.dumps({"rows": [{"key": "p", "error": "not_found"}]}).encode())
