"""When views are refreshed, and which."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.couchdb import BulkWriter, Database, ViewRefresh
from app.couchdb.errors import Unavailable
from app.couchdb.queue import Queue
from app.couchdb.views import views
from app.storing.sink import Document
from tests.fakes.couchdb import FakeCouchDB, Stored
from tests.fakes.time import Steps
from tests.unit.couchdb.conftest import MakeWriter

WHISKS = "_design/whisks.v2.1.0/_view/activations"
THEIRS = [
    "_design/activations/_view/byDate",
    "_design/logCleanup/_view/byDateWithLogs",
    "_design/whisks-filters.v2.1.1/_view/activations",
    WHISKS,
]
MAP = {"map": "function (doc) {}"}


def listing(**fields: Any) -> bytes:
    """CouchDB's answer with one design document."""
    rows = [{"id": "_design/one", "doc": {"_id": "_design/one", **fields}}]
    return json.dumps({"total_rows": 9, "offset": 0, "rows": rows}).encode()


@pytest.fixture
async def writer(make_writer: MakeWriter, couchdb: FakeCouchDB) -> BulkWriter:
    writer = await make_writer()
    await writer.write([Document("a/1", b'{"_id":"a/1"}')])
    assert couchdb.refreshed == []
    return writer


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
async def refresh(
    writer: BulkWriter, database: Database, steps: Steps
) -> AsyncIterator[ViewRefresh]:
    service = ViewRefresh(writer, database, 2.0, sleep=steps.sleep)
    await service.start()
    yield service
    await service.stop()
    assert service.crash_reason is None


@pytest.mark.usefixtures("refresh")
async def test_one_view_of_each_design_document_is_asked_for_while_there_is_writing(
    writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps
) -> None:
    await steps.step()
    assert sorted(couchdb.refreshed) == THEIRS
    await steps.step()
    assert len(couchdb.refreshed) == len(THEIRS)
    await writer.write([Document("a/2", b'{"_id":"a/2"}')])
    await steps.step()
    assert sorted(couchdb.refreshed) == sorted(THEIRS * 2)
    assert set(steps.asked) == {2.0}


@pytest.mark.usefixtures("refresh")
async def test_none_is_asked_for_while_a_full_request_waits(
    writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Queue, "full", True)
        await steps.step()
        assert couchdb.refreshed == []
    assert not writer.queue.full
    await steps.step()
    assert sorted(couchdb.refreshed) == THEIRS


async def test_none_is_asked_for_where_it_is_switched_off(
    writer: BulkWriter, database: Database, couchdb: FakeCouchDB, steps: Steps
) -> None:
    service = ViewRefresh(writer, database, 0.0, sleep=steps.sleep)
    await service.start()
    await service.stop()
    assert steps.asked == []
    assert couchdb.refreshed == []


@pytest.mark.usefixtures("refresh")
async def test_design_documents_that_were_replaced_are_listed_anew(
    writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    await steps.step()
    held = couchdb.databases["activations"]
    old = held.pop("_design/whisks.v2.1.0")
    held["_design/whisks.v3"] = Stored({**old.content, "_id": "_design/whisks.v3"}, old.rev)
    for number in range(2):
        couchdb.refreshed.clear()
        await writer.write([Document(f"b/{number}", b'{"_id":"b/%d"}' % number)])
        await steps.step()
    assert sorted(couchdb.refreshed) == [*THEIRS[:3], "_design/whisks.v3/_view/activations"]
    assert caplog.messages == []


@pytest.mark.usefixtures("refresh")
async def test_a_view_that_fails_keeps_no_other_from_being_refreshed_and_is_named_once(
    writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    couchdb.failing_views.add(THEIRS[0])
    for number in range(3):
        await writer.write([Document(f"b/{number}", b'{"_id":"b/%d"}' % number)])
        await steps.step()
    assert sorted(couchdb.refreshed) == sorted(THEIRS[1:] * 3)
    assert "a view cannot be refreshed (HTTP 500, os_process_error" in one_of(caplog)


@pytest.mark.usefixtures("refresh")
async def test_what_could_not_be_refreshed_is_when_it_can(
    couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    couchdb.reader = False
    await steps.step()
    assert "HTTP 403" in one_of(caplog)
    couchdb.reader = True
    await steps.step()
    assert sorted(couchdb.refreshed) == THEIRS


@pytest.mark.usefixtures("refresh")
async def test_a_database_that_is_away_is_left_to_the_writer_to_report(
    writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    await couchdb.stop()
    writer.availability.failing_since = 1.0
    await steps.step()
    assert caplog.messages == []


def one_of(caplog: pytest.LogCaptureFixture) -> str:
    [message] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    return message


@pytest.mark.parametrize(
    "fields",
    [
        {"views": {"v": MAP}},
        {"views": {"v": MAP, "w": MAP}, "autoupdate": True},
        {"views": {"lib": {"common": "exports.a = 1"}, "v": MAP}, "language": "javascript"},
        {"views": {"v": MAP}, "autoupdate": {"nouveau": False}},
    ],
)
def test_what_couchdb_indexes_is_refreshed(fields: dict[str, Any]) -> None:
    assert views(listing(**fields)) == ["_design/one/_view/v"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"filters": {"f": "function () {}"}},
        {"views": {"v": MAP}, "autoupdate": False},
        {"views": {"v": MAP}, "autoupdate": {"views": False}},
        {"views": {"v": MAP}, "language": "query"},
        {"views": {"v": MAP}, "language": 7},
        {"views": {}},
        {"views": ["v"]},
        {"views": {"lib": {"common": "exports.a = 1"}}},
        {"views": {"v": "function (doc) {}"}},
    ],
)
def test_what_couchdb_does_not_index_by_itself_is_not(fields: dict[str, Any]) -> None:
    assert views(listing(**fields)) == []


def test_one_that_is_deleted_meanwhile_is_left_out() -> None:
    rows = [{"id": "_design/gone", "doc": None}, {"doc": {"_id": "_design/a", "views": {"v": MAP}}}]
    assert views(json.dumps({"rows": rows}).encode()) == ["_design/a/_view/v"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"{}", b"[" * 100_000, b'{"rows":[{"doc":7}]}']
)
def test_what_is_not_couchdbs_is_said_to_be(body: bytes) -> None:
    with pytest.raises(Unavailable, match="not CouchDB's JSON"):
        views(body)


def test_names_are_quoted() -> None:
    doc = {"_id": "_design/a/b?", "views": {"v/w": MAP}}
    body = json.dumps({"rows": [{"doc": doc}]}).encode()
    assert views(body) == ["_design/a%2Fb%3F/_view/v%2Fw"]
