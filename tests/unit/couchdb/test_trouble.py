"""Whose fault it is: the writer against a database that misbehaves, with answers of CouchDB 3.5."""

import asyncio
import gc
import json
import logging
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.couchdb import BulkWriter, Database
from app.couchdb.errors import EntriesFailed
from app.settings import DatabaseSettings, DiagnosisSettings
from app.storing.sink import COMPLETED, DUPLICATE, STORED, Document, Parked, Refused, Result
from models.reasons import RejectReason
from tests.fakes.couchdb import PROBE, Answer, FakeCouchDB, fails, rewrites, shows_page
from tests.fakes.time import LoopTime, Time, until
from tests.unit.couchdb.conftest import MakeWriter

BIG = b"7" * 309


def document(id_: str, **fields: Any) -> Document:
    return Document(id_, json.dumps({"_id": id_, "updated": 1, **fields}).encode())


def documents(count: int, prefix: str = "d") -> list[Document]:
    return [document(f"{prefix}{number:04}") for number in range(count)]


async def ended(results: list[Result]) -> list[Result]:
    return [await one.outcome if isinstance(one, Parked) else one for one in results]


def reasons(results: list[Result]) -> list[RejectReason | None]:
    return [one.reason if isinstance(one, Refused) else None for one in results]


def held(couchdb: FakeCouchDB) -> set[str]:
    hidden = ("_design/", PROBE)
    return {id_ for id_ in couchdb.databases["activations"] if not id_.startswith(hidden)}


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


OF_A_SHARD: list[tuple[str, Any]] = [
    ("insufficent_storage", "database_dir is too full"),
    ("insufficient_storage", "no room"),
    ("nodedown", "progress not possible"),
    ("error", "all_dbs_active"),
]
WITHOUT_A_COPY: list[tuple[str, Any]] = [
    ("internal_server_error", "No DB shards"),
    ("error", "internal_server_error"),
    ("timeout", "The request could not be processed in a reasonable amount of time."),
]
ENTRIES = [
    ("compilation_error", "SyntaxError: unexpected token in expression"),
    ("unknown_query_language", "brainfuck"),
    ("os_process_error", "OS process timed out."),
    ("os_process_error", "{exit_status,139}"),
    ("unknown_error", "no"),
    ("TypeError", "{[]}"),
    ("forbidden", "read-only"),
    ("forbidden", {"a": 1}),
    ("unauthorized", 5),
    ("illegal_docid", "Doc id must be of form partition:id"),
]


@pytest.mark.parametrize("error, why", OF_A_SHARD + WITHOUT_A_COPY + ENTRIES)
async def test_entries_that_fail_for_everything_are_the_databases_trouble(
    writer: BulkWriter,
    couchdb: FakeCouchDB,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    error: str,
    why: Any,
) -> None:
    await ended(await writer.write(documents(3, prefix="before")))
    couchdb.validate = lambda _: {"error": error, "reason": why}
    writing = [asyncio.create_task(writer.write(documents(n, prefix=f"{n}-"))) for n in (1, 2, 20)]
    start = time.now
    await until(lambda: time.now > start + 600)
    assert writer.availability.down
    assert writer.availability.failing_since is not None
    assert len(errors(caplog)) == 1
    assert error in errors(caplog)[0]
    assert not any(task.done() for task in writing)
    couchdb.validate = lambda _: None
    for task in writing:
        results = await ended(await task)
        assert results == [STORED] * len(results)
    assert not writer.availability.down


REQUESTS: list[Any] = [
    *[fails(status, "error", "why") for status in (400, 403, 404, 412, 418, 429, 500, 503, 504)],
    *[shows_page(status) for status in (200, 201, 400, 403, 413, 500, 502, 503)],
    fails(413, "too_large", "the request entity is too large"),
    fails(404, "not_found", "no_db_file"),
    rewrites(lambda _: [], writing=False),
    rewrites(lambda entries: [{"error": "x"} for _ in entries], writing=False),
    rewrites(lambda entries: [{"id": "who", "rev": "1-x"} for _ in entries], writing=False),
    rewrites(lambda entries: [{"id": "who", "error": "conflict"} for _ in entries], writing=False),
]


@pytest.mark.parametrize("fault", REQUESTS)
async def test_answers_that_come_for_everything_are_the_databases_trouble(
    writer: BulkWriter,
    couchdb: FakeCouchDB,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    fault: Any,
) -> None:
    await ended(await writer.write(documents(3, prefix="before")))
    well = False

    async def always(request: Any, answer: Any) -> Any:
        couchdb.faults.append(always)
        return await (answer() if well else fault(request, answer))

    couchdb.script(always)
    writing = [asyncio.create_task(writer.write(documents(n, prefix=f"{n}-"))) for n in (1, 2, 20)]
    start = time.now
    await until(lambda: time.now > start + 600)
    assert writer.availability.down
    assert len(errors(caplog)) == 1
    assert sum(writer.stats.requests.values()) < 800, "at a slow pace"
    well = True
    for task in writing:
        results = await ended(await task)
        assert results == [STORED] * len(results)
    assert held(couchdb) >= {one.id for n in (1, 2, 20) for one in documents(n, prefix=f"{n}-")}


@pytest.mark.parametrize("error, why", ENTRIES)
async def test_one_document_that_fails_while_others_pass_is_set_aside_alone(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time, error: str, why: Any
) -> None:
    couchdb.validate = lambda one: {"error": error, "reason": why} if one.get("bad") else None
    batch = [*documents(20), document("bad", bad=True)]
    start = time.now
    first = await writer.write(batch)
    assert first[:-1] == [STORED] * 20
    assert time.now - start < 1, "it left the request"
    assert writer.diagnosis.parked == 1
    [*_, bad] = await ended(first)
    assert isinstance(bad, Refused)
    assert bad.detail.startswith(f"{error}: ")
    assert bad.detail.isprintable()
    assert 15 <= time.now - start <= 60
    assert not writer.availability.down


@pytest.mark.parametrize("error, why", WITHOUT_A_COPY)
async def test_one_document_that_ends_what_stores_it_is_set_aside_in_the_end(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time, error: str, why: str
) -> None:
    couchdb.validate = lambda one: {"error": error, "reason": why} if one.get("bad") else None
    [bad] = await ended((await writer.write([*documents(20), document("bad", bad=True)]))[-1:])
    assert reasons([bad]) == [RejectReason.REFUSED]
    assert time.now > DiagnosisSettings().limit, "what restarts has the time to"


@pytest.mark.parametrize("status", [201, 500])
@pytest.mark.parametrize("error, why", OF_A_SHARD + WITHOUT_A_COPY)
async def test_what_one_shard_does_not_take_waits_while_the_others_take_theirs(
    writer: BulkWriter,
    couchdb: FakeCouchDB,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    error: str,
    why: str,
    status: int,
) -> None:
    """CouchDB answers so since apache/couchdb#3979, and before that with 201."""
    away = True

    async def of_one_shard(_request: web.Request, answer: Answer) -> web.Response:
        couchdb.faults.append(of_one_shard)
        answered = await answer()
        assert isinstance(answered.body, bytes)
        if all("rev" in one for one in json.loads(answered.body)):
            return answered
        return web.Response(body=answered.body, status=status)

    def validate(one: dict[str, Any]) -> Any:
        in_it = away and one["_id"].startswith("in-it")
        return {"error": error, "reason": why} if in_it else None

    couchdb.validate = validate
    couchdb.script(of_one_shard)
    good, waiting = documents(60), documents(20, prefix="in-it")
    results = await writer.write([*good, *waiting])
    assert results[:60] == [STORED] * 60
    outcomes = asyncio.create_task(ended(results[60:]))

    async def passed(at: float) -> None:
        await until(lambda: time.now > at)

    start = time.now
    for number in range(50):
        assert await writer.write(documents(4, prefix=f"other{number}-")) == [STORED] * 4
        await passed(start + 20 * number)
    assert not outcomes.done()
    assert not writer.availability.down, "for the others"
    assert len(couchdb.bulk_requests) < 50 + 20 * 200, "at a slow pace"
    lines = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(lines) == 1, lines
    assert f"{error}: {why}" in lines[0]
    away = False
    assert await outcomes == [STORED] * 20


async def test_an_entry_with_an_error_is_not_stored_whatever_revision_it_names(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.script(
        rewrites(
            lambda entries: [{**one, "rev": "1-a", "error": "forbidden"} for one in entries],
            writing=False,
        )
    )
    assert await ended(await writer.write(documents(3))) == [STORED] * 3
    assert held(couchdb) == {one.id for one in documents(3)}


async def test_a_lone_bad_document_ends_with_nothing_but_a_probe_to_compare(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write(documents(3))
    couchdb.validate = lambda one: "no" if one["_id"] == "bad" else None
    assert reasons(await ended(await writer.write([document("bad")]))) == [RejectReason.REFUSED]
    assert couchdb.probes


async def test_what_recovers_alone_was_never_bad(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    slow = {"error": "os_process_error", "reason": "OS process timed out."}
    left = {"n": 2}

    def validate(one: dict[str, Any]) -> Any:
        if one.get("slow") and left["n"]:
            left["n"] -= 1
            return slow
        return None

    couchdb.validate = validate
    results = await ended(await writer.write([*documents(5), document("s", slow=True)]))
    assert results == [STORED] * 6


async def test_many_bad_requests_do_not_keep_a_good_one_out(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer(request_documents=10, requests_in_flight=2)
    await writer.write(documents(1, prefix="before"))
    couchdb.validate = lambda one: "no" if one.get("bad") else None
    bad = [document(f"b{number}", bad=True) for number in range(60)]
    writing = asyncio.create_task(writer.write(bad))
    await until(lambda: writer.availability.down)
    assert await ended(await writer.write(documents(5))) == [STORED] * 5
    assert reasons(await ended(await writing)) == [RejectReason.REFUSED] * 60


async def test_an_integer_beyond_a_double_costs_itself(writer: BulkWriter, time: Time) -> None:
    batch = documents(50)
    batch[7] = Document("big", b'{"_id":"big","v":{"w":[-' + BIG + b"]}}")
    start = time.now
    results = await writer.write(batch)
    refused = results.pop(7)
    assert isinstance(refused, Refused)
    assert "badarith" in refused.detail
    assert "out of a double's range" in refused.detail
    assert results == [STORED] * 49
    assert time.now - start < 1
    assert writer.stats.requests["500"] == 2


async def test_the_fuller_record_wins_in_any_order(
    writer: BulkWriter, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    bare = [document(f"d{n}", logs=[]) for n in range(3)]
    full = [document(f"d{n}", logs=["a line"], updated=2) for n in range(3)]
    assert await writer.write(bare) == [STORED] * 3
    assert await writer.write(full) == [COMPLETED] * 3
    assert await writer.write(bare) == [DUPLICATE] * 3
    assert await writer.write(full) == [DUPLICATE] * 3
    for n in range(3):
        stored = couchdb.databases["activations"][f"d{n}"]
        assert stored.content["logs"] == ["a line"]
        assert stored.rev.startswith("2-")
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "PERSISTER_LOG_MODE=in-record" in warnings[0].getMessage()
    assert await writer.write([document("e", logs=["x"])]) == [STORED]
    assert await writer.write([document("e", logs=[])]) == [DUPLICATE]
    assert couchdb.databases["activations"]["e"].rev.startswith("1-")
    [other] = await writer.write([document("e", logs=["y"])])
    assert isinstance(other, Refused)


async def test_two_copies_in_one_request_become_the_fuller_one(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    pair = [document("a", logs=[]), document("a", logs=["x"])]
    assert await writer.write(pair) == [STORED, COMPLETED]
    assert couchdb.databases["activations"]["a"].content["logs"] == ["x"]


async def test_the_probe_keeps_nothing_of_a_record(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write([document("a", secret="s3cret")])
    couchdb.validate = lambda one: "no" if one["_id"] == "bad" else None
    await ended(await writer.write([document("bad")]))
    probe = couchdb.databases["activations"][PROBE]
    assert probe.deleted
    assert probe.content == {"_id": PROBE, "_deleted": True}


async def test_wrong_credentials_are_tried_seldom_and_a_new_file_at_once(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    couchdb.user = ("writer", "old")
    writer = await make_writer(user="writer", password=None, password_file=file)
    assert await writer.write(documents(1)) == [STORED]
    couchdb.user = ("writer", "new")
    writing = asyncio.create_task(writer.write(documents(1, prefix="e")))
    start = time.now
    await until(lambda: time.now > start + 250)
    assert writer.stats.requests["401"] <= 5
    file.write_text("new\n")
    before = time.now
    assert await writing == [STORED]
    assert time.now - before <= 10


async def test_a_rotated_password_is_one_wrong_one_however_many_requests_are_under_way(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    couchdb.user, couchdb.sessions = ("writer", "old"), True
    writer = await make_writer(
        user="writer", password=None, password_file=file, request_documents=5
    )
    for number in range(8):
        await writer.write(documents(40, prefix=f"before{number}-"))
    assert writer.limit.current >= 4
    couchdb.user = ("writer", "new")
    writing = [
        asyncio.create_task(writer.write(documents(5, prefix=f"{number}-"))) for number in range(8)
    ]
    start = time.now
    await until(lambda: time.now > start + 90)
    assert 1 <= couchdb.wrong_passwords <= 3
    file.write_text("new")
    before = couchdb.wrong_passwords
    assert [await one for one in writing] == [[STORED] * 5] * 8
    assert couchdb.wrong_passwords == before


async def test_a_password_whose_file_is_new_already_is_no_wrong_one(
    make_writer: MakeWriter, couchdb: FakeCouchDB, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    couchdb.user, couchdb.sessions = ("writer", "old"), True
    writer = await make_writer(user="writer", password=None, password_file=file)
    assert await writer.write(documents(1)) == [STORED]
    couchdb.user = ("writer", "new")
    file.write_text("new")
    assert await writer.write(documents(1, prefix="e")) == [STORED]
    assert couchdb.wrong_passwords == 0
    assert not writer.stats.requests["401"]


async def test_a_rotated_password_is_not_taken_for_a_rule_that_forbids_everything(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, tmp_path: Path
) -> None:
    """In a public database, a request with an old cookie is nobody's, and not answered with 401."""
    file = tmp_path / "password"
    file.write_text("old")
    couchdb.user, couchdb.sessions, couchdb.public = ("writer", "old"), True, True
    writer = await make_writer(user="writer", password=None, password_file=file)
    assert await writer.write(documents(2)) == [STORED] * 2
    couchdb.user = ("writer", "new")
    file.write_text("new")
    before = time.now
    assert await writer.write(documents(2, prefix="e")) == [STORED] * 2
    assert time.now == before
    assert couchdb.wrong_passwords == 0
    assert writer.availability.last_error is None


async def test_a_password_that_is_rotated_first_is_what_a_public_database_is_said_to_lack(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    couchdb.user, couchdb.sessions, couchdb.public = ("writer", "old"), True, True
    writer = await make_writer(user="writer", password="old")
    assert await writer.write(documents(2)) == [STORED] * 2
    couchdb.user = ("writer", "new")
    writing = asyncio.create_task(writer.write(documents(2, prefix="e")))
    start = time.now
    await until(lambda: time.now > start + 90)
    assert 1 <= couchdb.wrong_passwords <= 3
    assert "Name or password is incorrect" in errors(caplog)[0]
    couchdb.user = ("writer", "old")
    assert await writing == [STORED] * 2


async def test_a_rule_that_forbids_everything_costs_no_cookies(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    couchdb.user, couchdb.sessions = ("writer", "secret"), True
    writer = await make_writer(user="writer", password="secret")
    assert await writer.write(documents(2)) == [STORED] * 2
    monkeypatch.setattr(couchdb, "validate", lambda _: "nothing at all")
    monkeypatch.setattr(couchdb, "_make_session", None)
    writing = asyncio.create_task(writer.write(documents(2, prefix="e")))
    start = time.now
    await until(lambda: time.now > start + 90)
    assert writer.availability.last_error == "forbidden: nothing at all"
    monkeypatch.setattr(couchdb, "validate", lambda _: None)
    assert await writing == [STORED] * 2


async def test_cookies_that_nobody_accepts_are_left(
    make_writer: MakeWriter, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    couchdb.user, couchdb.sessions = ("writer", "secret"), True
    given = iter(range(1000))
    monkeypatch.setattr(couchdb, "_cookie", lambda: str(next(given)))
    writer = await make_writer(user="writer", password="secret")
    assert await writer.write(documents(3)) == [STORED] * 3
    assert next(given) < 10


async def test_a_locked_account_is_told_as_such(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await make_writer()
    await writer.write(documents(1))
    locked = fails(403, "forbidden", "Account is temporarily locked due to multiple failures")
    couchdb.script(*[locked] * 3)
    start = time.now
    assert await writer.write(documents(1, prefix="e")) == [STORED]
    assert time.now - start < 400
    [said] = errors(caplog)
    assert "temporarily locked" in said
    assert "the right to write" not in said


async def test_another_database_under_the_name_is_noticed(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write(documents(1))
    before = writer.identity
    couchdb.databases["activations"] = {}
    await writer.requests.look_after()
    assert writer.identity not in (None, before)
    assert "_design/whisks.v2.1.0" in couchdb.databases["activations"]
    del couchdb.databases["activations"]["_design/logCleanup"]
    await writer.requests.look_after()
    assert "_design/logCleanup" in couchdb.databases["activations"]


async def test_another_database_made_within_the_same_second_is_noticed(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write(documents(1))
    before = writer.identity
    await writer.requests.look_after()
    assert writer.identity == before
    couchdb.local.clear()
    await writer.requests.look_after()
    assert writer.identity not in (None, before)


async def test_two_workers_know_a_new_database_by_the_same_identity(
    make_writer: MakeWriter,
) -> None:
    one, other = await asyncio.gather(make_writer(), make_writer())
    await until(lambda: one.identity and other.identity)
    assert one.identity == other.identity


async def test_another_worker_that_marks_it_at_the_same_moment_is_no_other_database(
    writer: BulkWriter, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    await writer.write(documents(1))
    marks = iter(("of another worker", "of another database"))
    for warnings in (0, 1):
        [mark] = couchdb.local
        couchdb.local[mark]["mark"] = next(marks)
        before = writer.identity
        await writer.requests.look_after()
        assert writer.identity != before
        assert sum(one.levelno >= logging.WARNING for one in caplog.records) == warnings


async def test_who_may_not_mark_a_database_still_knows_it(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.may_mark = False
    one, other = await make_writer(), await make_writer()
    await until(lambda: one.identity and other.identity)
    assert one.identity == other.identity
    assert await one.write(documents(1)) == [STORED]


@pytest.mark.parametrize("member", [True, False])
async def test_who_may_write_and_not_read_is_told_from_who_may_do_neither(
    make_writer: MakeWriter,
    couchdb: FakeCouchDB,
    caplog: pytest.LogCaptureFixture,
    *,
    member: bool,
) -> None:
    couchdb.databases["activations"] = {}
    couchdb.reader, couchdb.member = False, member
    writer = await make_writer()
    await until(lambda: errors(caplog))
    assert ("documents can be written, but not read" in errors(caplog)[0]) == member
    assert "the right to read" in errors(caplog)[0]
    couchdb.reader = couchdb.member = True
    assert await writer.write(documents(1)) == [STORED]


async def test_a_document_that_cannot_be_read_back_ends(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    """As when a file of the database is damaged where that one is."""
    await writer.write(documents(3))
    couchdb.unreadable.add("d0001")
    results = await ended(await writer.write([*documents(3), *documents(3, prefix="e")]))
    assert reasons(results) == [None, RejectReason.REFUSED, None, None, None, None]
    assert not writer.reading.down


async def test_a_stored_document_without_a_revision_ends_no_worker(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    """As behind a proxy that leaves out what begins with an underscore."""
    await writer.write([document(f"d{n}", logs=[]) for n in range(3)])
    couchdb.unrevised.add("d1")
    full = [document(f"d{n}", logs=["a line"]) for n in range(3)]
    results = await ended(await writer.write([*full, *documents(3, prefix="e")]))
    assert reasons(results) == [None, RejectReason.REFUSED, None, None, None, None]
    assert isinstance(results[1], Refused)
    assert "lacks its `_rev`" in results[1].detail


async def test_revisions_that_no_answer_has_condemn_nothing(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    """Nothing passes then, so whatever fails is the database's fault, or the proxy's before it."""
    few = [document(f"d{n}", logs=[]) for n in range(40)]
    await writer.write(few)
    couchdb.unrevised.update(one.id for one in few)
    writing = asyncio.create_task(
        writer.write([document(f"d{n}", logs=["a line"]) for n in range(40)])
    )
    started = time.clock()
    await until(lambda: time.clock() > started + 600)
    assert writer.reading.down
    assert not writing.done()
    couchdb.unrevised.clear()
    assert await ended(await writing) == [COMPLETED] * 40


async def passed_on(_request: web.Request, answer: Answer) -> web.Response:
    return await answer()


@pytest.mark.parametrize(
    "fault",
    [
        fails(500, "internal_server_error", "No DB shards could be opened."),
        fails(400, "bad_request", "x"),
        shows_page(500),
        shows_page(400),
    ],
)
async def test_an_update_that_fails_once_says_nothing_about_the_record(
    writer: BulkWriter, couchdb: FakeCouchDB, fault: Any
) -> None:
    """The revision in it is ours: nobody finds a fault of the record in that."""
    await writer.write([document("d", logs=[])])
    couchdb.script(passed_on, fault)
    assert await ended(await writer.write([document("d", logs=["a line"])])) == [COMPLETED]


async def test_an_update_that_conflicts_for_no_reason_is_tried_more_and_more_seldom(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    """As while a copy of the shard that lags behind is read."""
    await writer.write([document("d", logs=[])])
    couchdb.script(passed_on, *[rewrites(conflicts, writing=False)] * 15)
    asked, slept = len(couchdb.bulk_requests), len(time.slept)
    assert await ended(await writer.write([document("d", logs=["a line"])])) == [COMPLETED]
    assert len(time.slept) - slept >= 15
    assert len(couchdb.bulk_requests) - asked == 2


async def test_an_update_that_conflicts_for_long_is_never_set_aside(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    few = [f"d{number}" for number in range(20)]
    await writer.write([document(id_, logs=[]) for id_ in few])
    conflict = {"error": "conflict", "reason": "Document update conflict."}
    couchdb.validate = lambda one: conflict if "_rev" in one else None
    writing = asyncio.create_task(writer.write([document(id_, logs=["a line"]) for id_ in few]))
    started = time.clock()
    await until(lambda: time.clock() > started + 3600)
    assert writer.diagnosis.parked == len(few)
    assert "a copy of their shard lags behind" in errors(caplog)[0]
    couchdb.validate = lambda _: None
    assert await ended(await writing) == [COMPLETED] * len(few)


async def test_an_update_of_what_is_deleted_meanwhile_is_written_as_it_came(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write([document("d", logs=[])])

    async def deleted(_request: web.Request, answer: Answer) -> web.Response:
        couchdb.databases["activations"]["d"].deleted = True
        return await answer()

    couchdb.script(passed_on, deleted)
    assert await ended(await writer.write([document("d", logs=["a line"])])) == [STORED]
    assert not couchdb.databases["activations"]["d"].deleted


def conflicts(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": one["id"], "error": "conflict", "reason": "…"} for one in entries]


async def test_a_revision_that_is_missing_once_is_read_again(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await writer.write([document("d", logs=[])])
    couchdb.unrevised.add("d")
    writing = asyncio.create_task(writer.write([document("d", logs=["a line"])]))
    await until(lambda: writer.narrowing == 1)
    couchdb.unrevised.clear()
    assert await ended(await writing) == [COMPLETED]


async def without_deletion(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    """Documents pass, and no deletion: the probe is refused as well."""
    couchdb.validate = lambda one: (
        "only admins may delete" if one.get("_deleted") else one.get("refused")
    )
    for number in range(3):
        await writer.write(documents(2, prefix=f"{number}-"))
        await writer.requests.look_after()


async def test_a_validation_function_that_refuses_the_probe_keeps_no_bad_document_alive(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await without_deletion(writer, couchdb)
    [result] = await ended(await writer.write([document("bad", refused="no name")]))
    assert reasons([result]) == [RejectReason.REFUSED]
    assert not writer.availability.down


async def test_what_the_probe_is_answered_is_there_for_commands(
    writer: BulkWriter, couchdb: FakeCouchDB, database: Database
) -> None:
    await without_deletion(writer, couchdb)
    await database.check_takes_documents()
    couchdb.validate = lambda _: "read only"
    with pytest.raises(EntriesFailed, match="read only"):
        await database.check_takes_documents()


async def test_nothing_more_is_learned_where_it_may_not_be_noted(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.may_mark = False
    await without_deletion(writer, couchdb)
    assert await writer.write(documents(2, prefix="after-")) == [STORED] * 2
    assert not writer.availability.down


async def test_another_refusal_of_the_probe_speaks_of_the_database(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    await without_deletion(writer, couchdb)
    couchdb.validate = lambda _: "read only"
    start = time.now
    writing = asyncio.create_task(writer.write(documents(1)))
    await until(lambda: time.now > start + 120)
    assert writer.availability.down
    couchdb.validate = lambda _: None
    assert reasons(await ended(await writing)) == [None]


async def test_what_the_probe_is_answered_is_asked_once(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    for number in range(4):
        await writer.write(documents(2, prefix=f"{number}-"))
        await writer.requests.look_after()
    assert couchdb.probes == 2  # without a record, and with one


async def test_a_conflict_waits_until_the_answer_is_whole(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    """CouchDB answers 200 with fewer rows than were asked for (apache/couchdb#3059)."""
    await writer.write(documents(20))
    couchdb.unanswered = {f"d{number:04}" for number in range(16, 20)}
    start = time.now
    writing = asyncio.create_task(writer.write(documents(20)))
    await until(lambda: time.now > start + 60)
    assert writer.reading.down
    couchdb.unanswered = set()
    results = await ended(await writing)
    assert reasons(results) == [None] * 20
    assert writer.stats.documents_written == 20


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
async def test_one_body_that_a_proxy_always_refuses_ends_while_others_pass(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time, status: int
) -> None:
    await writer.write(documents(1, prefix="before"))
    couchdb.refuses = lambda body: status if b"attack" in body else None
    batch = [*documents(20), document("bad", text="attack")]
    writing = asyncio.create_task(writer.write(batch))
    await until(lambda: writer.stats.requests[str(status)])
    others: list[asyncio.Task[list[Result]]] = []
    while not writing.done() or writer.diagnosis.parked:
        others.append(asyncio.create_task(writer.write(documents(1, prefix=f"{len(others)}-"))))
        await asyncio.wait(others[-1:], timeout=0.1)
        await time.sleep(0.5)
        assert len(others) < 500
    results = await ended(await writing)
    assert results[:-1] == [STORED] * 20
    assert isinstance(results[-1], Refused)
    assert [await one for one in others] == [[STORED]] * len(others)


@pytest.mark.parametrize("status", [403, 404, 429, 500, 502, 503])
async def test_one_body_that_a_proxy_always_refuses_ends_with_nothing_but_a_probe(
    writer: BulkWriter, couchdb: FakeCouchDB, status: int
) -> None:
    await writer.write(documents(1, prefix="before"))
    couchdb.refuses = lambda body: status if b"attack" in body else None
    batch = [*documents(20), document("bad", text="attack")]
    results = await ended(await writer.write(batch))
    assert results[:-1] == [STORED] * 20
    assert isinstance(results[-1], Refused)


@pytest.mark.virtual_time
async def test_what_hangs_keeps_a_place_from_nobody(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    """A request of which parts hang, when the pace allows a single one."""
    writer = await make_writer(LoopTime(), request_timeout=20, requests_in_flight=1)
    await writer.write(documents(1, prefix="before"))
    hanging = asyncio.Event()
    couchdb.hangs = lambda body: hanging if b"endless" in body else None
    bad = [document(f"bad{number}", text="endless") for number in range(20)]
    writing = asyncio.create_task(writer.write([*documents(300), *bad]))
    while not writer.stats.requests["timeout"]:  # noqa: ASYNC110 - a counter has no event
        await asyncio.sleep(1)
    while not writing.done():
        async with asyncio.timeout(15):
            others = documents(1, prefix=f"{len(couchdb.bulk_requests)}-")
            assert await writer.write(others) == [STORED]
        await asyncio.sleep(0.5)
    results = await ended(await writing)
    assert results[:300] == [STORED] * 300
    assert reasons(results[300:]) == [RejectReason.REFUSED] * 20
    hanging.set()


@pytest.mark.virtual_time
async def test_where_errors_come_and_go_a_bad_document_ends_and_no_good_one_is_condemned(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    time = LoopTime()
    writer = await make_writer(time)
    await writer.write(documents(1, prefix="before"))
    slow = {"error": "os_process_error", "reason": "OS process timed out."}
    chance = Random(1)  # noqa: S311 - not a secret
    couchdb.validate = lambda one: slow if one.get("bad") or chance.random() < 0.5 else None
    start = time.clock()
    batch = [*documents(10), document("bad", bad=True)]
    writing = asyncio.create_task(writer.write(batch))
    others: list[asyncio.Task[list[Result]]] = []
    while not writing.done() or writer.diagnosis.parked > 5:
        others.append(asyncio.create_task(writer.write(documents(1, prefix=f"{len(others)}-"))))
        await time.sleep(1)
    results = await ended(await writing)
    # That it ends: how soon, depends on how often the database seems to be down meanwhile.
    assert time.clock() - start < 400
    assert results[:-1] == [STORED] * 10
    assert isinstance(results[-1], Refused)
    assert [await ended(await one) for one in others] == [[STORED]] * len(others)


@pytest.mark.virtual_time
async def test_a_hundred_suspects_are_tried_no_more_often_than_it_takes(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    time = LoopTime()
    writer = await make_writer(time)
    await writer.write(documents(1, prefix="before"))
    couchdb.validate = lambda one: "no" if one.get("bad") else None
    start = time.clock()
    bad = [document(f"b{number}", bad=True) for number in range(100)]
    results = await ended(await writer.write([*documents(100), *bad]))
    assert reasons(results) == [None] * 100 + [RejectReason.REFUSED] * 100
    alone = [ids for ids in couchdb.bulk_requests if len(ids) == 1]
    assert len(alone) <= 3 * 100 + 20
    assert time.clock() - start <= 60


async def test_a_pause_that_one_body_is_answered_with_keeps_nobody_else(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    await writer.write(documents(1, prefix="before"))
    couchdb.refuses = lambda body: 500 if b"attack" in body else None
    [parked] = await writer.write([document("bad", text="attack")])
    assert isinstance(parked, Parked)
    couchdb.retry_after = 299
    start = time.now
    assert await writer.write(documents(3)) == [STORED] * 3
    assert isinstance(await parked.outcome, Refused)
    assert time.now - start < 100


async def test_a_partitioned_database_is_named(
    make_writer: MakeWriter, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    couchdb.databases["activations"] = {}
    couchdb.partitioned.add("activations")
    await make_writer()
    await until(lambda: errors(caplog))
    assert "partitioned" in errors(caplog)[0]
    assert "PERSISTER_DATABASE" in errors(caplog)[0]


TROUBLE = st.sampled_from(
    [
        fails(500, "internal_server_error", "No DB shards"),
        fails(503),
        fails(429),
        fails(400, "bad_request", "invalid UTF-8 JSON"),
        shows_page(403),
        shows_page(201),
        rewrites(lambda _: [], writing=False),
        rewrites(
            lambda entries: [{**one, "error": "insufficent_storage"} for one in entries],
            writing=False,
        ),
    ]
)


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    trouble=st.lists(st.tuples(TROUBLE, st.integers(1, 12)), max_size=4),
    bad=st.sets(st.integers(0, 39), max_size=6),
)
def test_nothing_good_is_condemned_and_everything_ends(
    trouble: list[tuple[Any, int]], bad: set[int]
) -> None:
    """Whatever the database answers for a while: the good are stored, the bad are set aside."""

    async def run() -> None:
        couchdb, time = FakeCouchDB(), Time()
        await couchdb.start()
        chosen = DatabaseSettings(url=couchdb.url, name="activations", request_documents=8)
        writer = BulkWriter(
            Database(chosen),
            chosen,
            DiagnosisSettings(),
            clock=time.clock,
            sleep=time.sleep,
            random=lambda: 1.0,
        )
        await writer.start()
        try:
            await writer.write(documents(1, prefix="before"))
            couchdb.validate = lambda one: "no" if one.get("bad") else None
            couchdb.script(*[fault for fault, times in trouble for _ in range(times)])
            batch = [document(f"d{n:02}", bad=n in bad) for n in range(40)]
            parts = [batch[n : n + 10] for n in range(0, 40, 10)]
            async with asyncio.timeout(30):
                lists = [
                    await ended(one) for one in await asyncio.gather(*map(writer.write, parts))
                ]
            results = [one for part in lists for one in part]
            assert {n for n, one in enumerate(results) if isinstance(one, Refused)} == bad
            assert all(results[n] is STORED for n in range(40) if n not in bad)
        finally:
            await writer.stop()
            await couchdb.stop()

    asyncio.run(run())


async def test_a_stop_during_a_diagnosis_that_nobody_waits_for_says_nothing(
    writer: BulkWriter, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    await writer.write(documents(3, prefix="before"))
    couchdb.validate = lambda one: "no" if one.get("bad") else None
    results = await writer.write([document("x", bad=True), document("y")])
    assert [isinstance(one, Parked) for one in results] == [True, False]
    await writer.stop()
    del results
    gc.collect()
    assert errors(caplog) == []
