"""When views are refreshed, and which."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from app.couchdb import BulkWriter, Database, ViewRefresh
from app.couchdb.errors import Unavailable
from app.couchdb.views import DOCUMENTS_PER_QUESTION, IDLE_SECONDS, views
from app.storing.sink import Document
from tests.fakes.couchdb import FakeCouchDB, RefusalError, Stored, holds
from tests.fakes.time import Steps, Time, until
from tests.unit.couchdb.conftest import MakeWriter

WHISKS = "_design/whisks.v2.1.0/_view/activations"
THEIRS = [
    "_design/activations/_view/byDate",
    "_design/logCleanup/_view/byDateWithLogs",
    "_design/whisks-filters.v2.1.1/_view/activations",
    WHISKS,
]
MAP = {"map": "function (doc) {}"}

Write = Callable[[], Awaitable[None]]


def listing(**fields: Any) -> bytes:
    """CouchDB's answer with one design document."""
    rows = [{"id": "_design/one", "doc": {"_id": "_design/one", **fields}}]
    return json.dumps({"total_rows": 9, "offset": 0, "rows": rows}).encode()


@pytest.fixture
async def writer(make_writer: MakeWriter) -> BulkWriter:
    return await make_writer()


@pytest.fixture
def write(writer: BulkWriter, time: Time) -> Write:
    """Write as many documents as a question is worth, and nothing for a while."""
    numbers = count()

    async def write() -> None:
        ids = [f"a/{next(numbers)}" for _ in range(DOCUMENTS_PER_QUESTION)]
        await writer.write([Document(id_, b'{"_id":"%b"}' % id_.encode()) for id_ in ids])
        time.now += 2 * IDLE_SECONDS

    return write


class Looks(Steps):
    """Steps after which it sleeps again, or waits for something to be written."""

    waited = 0

    async def step(self) -> None:
        await until(lambda: self._turn is not None and not self._turn.done())
        turn, waited = self._turn, self.waited
        assert turn is not None
        turn.set_result(None)
        await until(lambda: self._turn is not turn or self.waited > waited)


@pytest.fixture
def steps(writer: BulkWriter, monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    next_settled = writer.next_settled

    async def counted() -> None:
        looks.waited += 1
        await next_settled()

    monkeypatch.setattr(writer, "next_settled", counted)
    return looks


@pytest.fixture
async def refresh(
    writer: BulkWriter, database: Database, steps: Steps
) -> AsyncIterator[ViewRefresh]:
    service = ViewRefresh(writer, database, 0.5, sleep=steps.sleep)
    await service.start()
    yield service
    await service.stop()
    assert service.crash_reason is None


@pytest.mark.usefixtures("refresh")
async def test_the_design_documents_are_asked_in_turn_while_there_is_writing(
    write: Write, couchdb: FakeCouchDB, steps: Steps
) -> None:
    await steps.step()
    assert couchdb.refreshed == []
    for number in range(4):
        await write()
        await steps.step()
        await steps.step()
        assert len(couchdb.refreshed) == number + 1
    assert sorted(couchdb.refreshed) == THEIRS
    for _ in range(4):
        await write()
        await steps.step()
    assert couchdb.refreshed[4:] == couchdb.refreshed[:4]
    assert set(steps.asked) == {0.5}


@pytest.mark.usefixtures("refresh")
async def test_while_nothing_is_written_it_does_not_even_look(
    write: Write, couchdb: FakeCouchDB, steps: Looks
) -> None:
    await steps.step()
    assert (len(steps.asked), steps.waited) == (1, 1)
    await write()
    await steps.step()
    assert len(couchdb.refreshed) == 1
    await steps.step()
    assert (len(steps.asked), steps.waited) == (3, 2)


@pytest.mark.usefixtures("refresh")
async def test_none_is_asked_for_the_sake_of_a_few_documents(
    writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps, time: Time
) -> None:
    few = [f"a/{number}" for number in range(DOCUMENTS_PER_QUESTION - 1)]
    await writer.write([Document(id_, b'{"_id":"%b"}' % id_.encode()) for id_ in few])
    time.now += 60
    await steps.step()
    assert couchdb.refreshed == []
    await writer.write([Document("b/1", b'{"_id":"b/1"}')])
    time.now += 60
    await steps.step()
    assert len(couchdb.refreshed) == 1


@pytest.mark.usefixtures("refresh")
async def test_no_other_question_is_asked_until_one_is_answered(
    write: Write, couchdb: FakeCouchDB, steps: Steps
) -> None:
    building: list[str] = []
    built = asyncio.Event()

    async def index(path: str) -> None:
        building.append(path)
        await built.wait()

    couchdb.index = index
    await write()
    step = asyncio.create_task(steps.step())
    await until(lambda: len(building) == 1)
    await write()
    assert len(steps.asked) == 1
    assert len(building) == 1
    built.set()
    await step
    await steps.step()
    assert len(building) == 2


@pytest.mark.usefixtures("refresh")
async def test_one_that_is_not_built_in_time_is_asked_for_again_before_any_other(
    database: Database,
    write: Write,
    couchdb: FakeCouchDB,
    steps: Steps,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    building: list[str] = []

    async def index(path: str) -> None:
        building.append(path)
        if len(building) < 3:
            raise RefusalError(599, "timeout", "")

    ask = database.ask

    async def impatient(method: str, path: str, **more: Any) -> Any:
        try:
            return await ask(method, path, **more)
        except Unavailable:
            raise Unavailable("no answer in time", cause="timeout") from None

    monkeypatch.setattr(database, "ask", impatient)
    couchdb.index = index
    for _ in range(4):
        await write()
        await steps.step()
    assert building[0] == building[1] == building[2] != building[3]
    assert couchdb.refreshed == building[2:]
    assert caplog.messages == []


@pytest.mark.usefixtures("refresh")
async def test_none_is_asked_for_while_records_come_all_the_time(
    write: Write, writer: BulkWriter, couchdb: FakeCouchDB, steps: Steps, time: Time
) -> None:
    await write()
    await writer.write([Document("b/1", b'{"_id":"b/1"}')])
    await steps.step()
    assert couchdb.refreshed == [], "one was written just now"
    go = asyncio.Event()
    couchdb.script(holds(go))
    writing = asyncio.create_task(writer.write([Document("b/2", b'{"_id":"b/2"}')]))
    await until(lambda: writer.in_flight)
    time.now += 60
    await steps.step()
    assert couchdb.refreshed == [], "one is being written"
    go.set()
    await writing
    time.now += 60
    await steps.step()
    assert len(couchdb.refreshed) == 1


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
    write: Write, couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    await write()
    await steps.step()
    held = couchdb.databases["activations"]
    old = held.pop("_design/whisks.v2.1.0")
    held["_design/whisks.v3"] = Stored({**old.content, "_id": "_design/whisks.v3"}, old.rev)
    couchdb.refreshed.clear()
    for _ in range(8):
        await write()
        await steps.step()
    assert {*couchdb.refreshed} == {*THEIRS[:3], "_design/whisks.v3/_view/activations"}
    assert caplog.messages == []


@pytest.mark.usefixtures("refresh")
async def test_a_view_that_fails_keeps_no_other_from_being_refreshed_and_is_named_once(
    write: Write, couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    couchdb.failing_views.add(THEIRS[0])
    for _ in range(12):
        await write()
        await steps.step()
    assert sorted(couchdb.refreshed) == sorted(THEIRS[1:] * 3)
    assert "a view cannot be refreshed (HTTP 500, os_process_error" in one_of(caplog)


@pytest.mark.usefixtures("refresh")
async def test_what_could_not_be_refreshed_is_when_it_can(
    write: Write, couchdb: FakeCouchDB, steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    await write()
    couchdb.reader = False
    await steps.step()
    assert "HTTP 403" in one_of(caplog)
    couchdb.reader = True
    await write()
    await steps.step()
    assert len(couchdb.refreshed) == 1


@pytest.mark.usefixtures("refresh")
async def test_a_database_that_is_away_is_left_to_the_writer_to_report(
    write: Write,
    writer: BulkWriter,
    couchdb: FakeCouchDB,
    steps: Steps,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await write()
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
