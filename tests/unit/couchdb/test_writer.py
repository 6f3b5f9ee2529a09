import asyncio
import itertools
import json
import logging
from typing import Any

import pytest

from app.couchdb import BulkWriter
from app.couchdb.queue import LARGE
from app.couchdb.writer import RESERVED_ID
from app.storing.sink import (
    DUPLICATE,
    STORED,
    Document,
    Parked,
    Refused,
    Result,
    Settled,
    SinkStopped,
)
from models.reasons import RejectReason
from tests.fakes.couchdb import (
    FakeCouchDB,
    Stored,
    cuts,
    fails,
    holds,
    rewrites,
    shows_page,
)
from tests.fakes.time import LoopTime, Time, until
from tests.unit.couchdb.conftest import MakeWriter


def document(id_: str, **fields: Any) -> Document:
    return Document(id_, json.dumps({"_id": id_, "updated": 1, "n": 1, **fields}).encode())


async def write(writer: BulkWriter, given: list[Document]) -> list[Result]:
    """Write, and wait for those under diagnosis, too."""
    results = await writer.write(given)
    return [await one.outcome if isinstance(one, Parked) else one for one in results]


def documents(count: int, prefix: str = "d") -> list[Document]:
    return [document(f"{prefix}{number:04}") for number in range(count)]


def raw(id_: str, rest: bytes) -> Document:
    return Document(id_, b'{"_id":"' + id_.encode() + b'",' + rest + b"}")


def held(couchdb: FakeCouchDB) -> set[str]:
    return {
        id_ for id_ in couchdb.databases.get("activations", {}) if not id_.startswith("_design/")
    }


def reason(result: Result) -> RejectReason:
    assert isinstance(result, Refused)
    return result.reason


async def test_documents_are_stored_and_a_replay_is_a_duplicate(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    batch = documents(5)
    assert await write(writer, batch) == [STORED] * 5
    replayed = [document(item.id, updated=2) for item in batch] + [document("new")]
    assert await write(writer, replayed) == [DUPLICATE] * 5 + [STORED]
    assert held(couchdb) == {item.id for item in batch} | {"new"}
    assert writer.stats.documents_written == 6
    assert writer.stats.conflicts_read_back == 5
    assert len(couchdb.read_backs) == 1


async def test_nothing_is_written_for_nothing(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    assert await write(writer, []) == []
    assert couchdb.bulk_requests == []


async def test_another_document_under_the_id_is_divergent_and_the_first_stays(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await write(writer, [document("a", secret=1)])
    [result] = await write(writer, [document("a", secret=2)])
    assert result == Refused(RejectReason.DIVERGENT, "differs from the stored document in: secret")
    assert couchdb.databases["activations"]["a"].content["secret"] == 1


async def test_an_id_that_comes_twice_in_a_call_is_written_once(writer: BulkWriter) -> None:
    same = [document("a"), document("b"), document("a"), document("a", n=2)]
    stored, other, again, different = await write(writer, same)
    assert (stored, other, again) == (STORED, STORED, DUPLICATE)
    assert reason(different) is RejectReason.DIVERGENT


async def test_an_id_in_two_calls_at_once_is_written_once(make_writer: MakeWriter) -> None:
    writer = await make_writer(request_documents=1)
    results = await asyncio.gather(write(writer, [document("a")]), write(writer, [document("a")]))
    assert sorted(result.value for [result] in results if isinstance(result, Settled)) == [
        "duplicate",
        "stored",
    ]


async def test_calls_share_requests(make_writer: MakeWriter, couchdb: FakeCouchDB) -> None:
    writer = await make_writer(request_documents=100)
    calls = [documents(10, prefix=f"{number}-") for number in range(30)]
    for results in await asyncio.gather(*map(writer.write, calls)):
        assert results == [STORED] * 10
    assert [len(ids) for ids in couchdb.bulk_requests] == [100, 100, 100]


async def test_a_call_larger_than_a_request_is_divided(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer(request_documents=100)
    assert await write(writer, documents(250)) == [STORED] * 250
    assert sorted(len(ids) for ids in couchdb.bulk_requests) == [50, 100, 100]


async def test_requests_are_bounded_in_bytes(make_writer: MakeWriter, couchdb: FakeCouchDB) -> None:
    writer = await make_writer(request_bytes=10_000)
    small, large = documents(3), document("large", s="x" * 20_000)
    assert await write(writer, [small[0], large, *small[1:]]) == [STORED] * 4
    assert sorted(map(len, couchdb.bulk_requests)) == [1, 1, 2]


async def test_nothing_waits_while_no_request_is_under_way(
    make_writer: MakeWriter, time: Time
) -> None:
    writer = await make_writer(linger=0.5)
    before = time.now
    for name in ("a", "b"):
        await write(writer, [document(name)])
    assert time.now == before


async def test_what_comes_while_a_request_is_under_way_goes_together_when_it_is_answered(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer()
    go = asyncio.Event()
    couchdb.script(holds(go))
    writing = [asyncio.create_task(write(writer, [document("a")]))]
    await until(lambda: couchdb._at_once)
    writing += [asyncio.create_task(write(writer, [document(name)])) for name in ("b", "c")]
    await until(lambda: writer.waiting_documents == 2)
    go.set()
    await asyncio.gather(*writing)
    assert [sorted(ids) for ids in couchdb.bulk_requests] == [["a"], ["b", "c"]]


async def test_a_document_waits_no_longer_than_the_linger_for_a_request_under_way(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    writer = await make_writer(linger=0.5)
    await write(writer, documents(4))  # two requests may be under way from now on
    go = asyncio.Event()
    couchdb.script(holds(go))
    slow = asyncio.create_task(write(writer, [document("a")]))
    await until(lambda: couchdb._at_once)
    before = time.now
    await write(writer, [document("b")])
    assert time.now - before == pytest.approx(0.5)
    go.set()
    await slow


async def test_a_full_request_does_not_wait(make_writer: MakeWriter, time: Time) -> None:
    writer = await make_writer(linger=0.5, request_documents=10)
    before = time.now
    await write(writer, documents(10))
    assert time.now == before


async def test_requests_in_flight_are_bounded_and_rise(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer(request_documents=10, requests_in_flight=3)
    await write(writer, documents(500))
    assert writer.limit.current == 3
    go = asyncio.Event()
    couchdb.script(*[holds(go)] * 10)
    writing = asyncio.create_task(write(writer, documents(100, prefix="e")))
    await until(lambda: couchdb._at_once == 3)
    assert writer.in_flight == 3
    go.set()
    await writing
    assert couchdb.most_at_once == 3
    assert writer.in_flight == 0


async def test_nobody_waits_behind_large_documents(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    go = asyncio.Event()
    couchdb.script(holds(go))
    large = [document(f"large{number}", s="x" * LARGE) for number in range(3)]
    writing = asyncio.create_task(write(writer, large))
    await until(lambda: couchdb._at_once)
    async with asyncio.timeout(5):
        assert await write(writer, [document("a"), document("b")]) == [STORED] * 2
    assert writer.waiting_documents
    go.set()
    assert await writing == [STORED] * 3


async def test_large_documents_leave_half_of_the_places_to_the_others(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer(request_documents=10, requests_in_flight=4)
    await write(writer, documents(500))
    assert writer.limit.current == 4
    go = asyncio.Event()
    couchdb.script(*[holds(go)] * 10)
    others = asyncio.create_task(write(writer, documents(5, prefix="e")))
    await until(lambda: couchdb._at_once == 1)
    large = [document(f"large{number}", s="x" * LARGE) for number in range(4)]
    writing = asyncio.create_task(write(writer, large))
    await until(lambda: writer.large.under_way == 2)
    more = asyncio.create_task(write(writer, documents(10, prefix="f")))
    await until(lambda: couchdb._at_once == 4)
    assert writer.large.under_way == 2
    go.set()
    await asyncio.gather(others, writing, more)
    assert not writer.waiting_documents


async def test_large_documents_get_their_turn(make_writer: MakeWriter) -> None:
    writer = await make_writer(requests_in_flight=1)

    async def keep_writing(prefix: str) -> None:
        for number in itertools.count():
            await write(writer, [document(f"{prefix}{number}")])

    others = [asyncio.create_task(keep_writing(prefix)) for prefix in "abc"]
    await until(lambda: writer.waiting_documents)
    async with asyncio.timeout(5):
        assert await write(writer, [document("large", s="x" * LARGE)]) == [STORED]
    for task in others:
        task.cancel()


async def test_the_rate_is_kept(make_writer: MakeWriter, time: Time) -> None:
    writer = await make_writer(request_documents=10, documents_per_second=50.0, linger=0.0)
    before = time.now
    await write(writer, documents(200))
    assert time.now - before >= (200 - 50) / 50


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "rate, expected", [(10.0, [10] * 5), (1.9, [1] * 50), (0.01, [1] * 50), (1e12, [50])]
)
async def test_a_request_has_no_more_than_a_second_may_take(
    make_writer: MakeWriter, couchdb: FakeCouchDB, rate: float, expected: list[int]
) -> None:
    writer = await make_writer(LoopTime(), documents_per_second=rate)
    assert await write(writer, documents(50)) == [STORED] * 50
    assert [len(ids) for ids in couchdb.bulk_requests] == expected


@pytest.mark.virtual_time
async def test_at_a_low_rate_each_second_has_its_documents(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer, loop = await make_writer(LoopTime(), documents_per_second=10.0), LoopTime()
    begun = loop.clock()
    writing = asyncio.create_task(write(writer, documents(1000)))
    counts = []
    for second in range(20):
        await loop.sleep(begun + second + 0.5 - loop.clock())
        counts.append(len(held(couchdb)))
    assert counts == [10 * (second + 1) for second in range(20)]
    writing.cancel()


@pytest.mark.virtual_time
async def test_large_documents_count_against_the_rate_like_others(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer, loop = await make_writer(LoopTime(), documents_per_second=2.0), LoopTime()
    begun = loop.clock()
    large = [document(f"large{number}", s="x" * LARGE) for number in range(3)]
    assert await write(writer, [*documents(5), *large]) == [STORED] * 8
    assert loop.clock() - begun == pytest.approx((8 - 2) / 2, abs=0.5)
    assert max(map(len, couchdb.bulk_requests)) == 2


@pytest.mark.virtual_time
async def test_it_is_busy_while_a_request_waits_for_the_pace(make_writer: MakeWriter) -> None:
    writer = await make_writer(LoopTime(), documents_per_second=1.0)
    await write(writer, documents(1))
    writing = asyncio.create_task(write(writer, documents(1, prefix="e")))
    await until(lambda: bool(writer.gate.waits))
    assert (writer.busy, writer.in_flight, writer.waiting_documents) == (True, 0, 0)
    await writing
    assert not writer.busy


async def test_it_is_busy_until_the_database_is_found(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.script(fails(503))
    writer = await make_writer()
    assert writer.busy
    await writer.found()
    assert not writer.busy


async def test_nothing_is_written_before_it_is_clear_that_the_database_is_the_groups(
    make_writer: MakeWriter,
) -> None:
    compared, clear = asyncio.Event(), asyncio.Event()

    async def cleared() -> None:
        compared.set()
        await clear.wait()

    writer = await make_writer(cleared=cleared)
    writing = asyncio.create_task(write(writer, [document("a")]))
    await compared.wait()
    assert writer.identity is not None
    await until(lambda: writer.waiting_documents == 1)
    assert not writer.in_flight
    clear.set()
    assert await writing == [STORED]


async def test_an_unmet_quorum_is_written_all_the_same(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.script(rewrites(lambda entries: entries, status=202))
    assert await write(writer, documents(2)) == [STORED] * 2
    assert writer.stats.requests["202"] == 1


async def test_entries_are_matched_by_id(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    couchdb.databases["activations"] = {"b": Stored({"_id": "b", "n": 2}, "1-x")}
    couchdb.script(rewrites(lambda entries: entries[::-1]))
    first, second, third = await write(writer, [document("a"), document("b"), document("c")])
    assert (first, third) == (STORED, STORED)
    assert reason(second) is RejectReason.DIVERGENT


async def test_a_doubtful_entry_is_settled_by_reading_back(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.script(
        rewrites(lambda entries: [*entries[1:-1], entries[1], {"id": "who", "rev": "1-x"}])
    )
    batch = documents(5)
    assert await write(writer, batch) == [STORED] * 5
    assert couchdb.read_backs == [[batch[0].id, batch[1].id, batch[4].id]]
    assert len(couchdb.bulk_requests) == 1


async def test_a_missing_entry_of_a_document_that_was_not_written_is_written_again(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.script(rewrites(lambda _: [], writing=False), rewrites(lambda _: [], writing=False))
    assert await write(writer, documents(3)) == [STORED] * 3
    assert len(held(couchdb)) == 3


async def test_a_body_with_another_id_is_refused_and_asked_about_once(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    good, bad = await write(writer, [document("a"), Document("b", b'{"_id":"c"}')])
    assert good is STORED
    assert reason(bad) is RejectReason.REFUSED
    assert len(couchdb.bulk_requests) == 1


async def test_a_forbidden_document_is_refused_with_the_databases_words(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.validate = lambda content: "no bad" if content.get("bad") else None
    good, bad = await write(writer, [document("a"), document("b", bad=True)])
    assert good is STORED
    assert isinstance(bad, Refused)
    assert bad.reason is RejectReason.REFUSED
    assert bad.detail.startswith("forbidden: no bad (alone ")


@pytest.mark.parametrize("error", ["internal_server_error", "unknown_error", "timeout"])
async def test_an_error_that_passes_is_retried(
    writer: BulkWriter, couchdb: FakeCouchDB, error: str
) -> None:
    fail = rewrites(lambda entries: [{**entry, "error": error} for entry in entries], writing=False)
    couchdb.script(fail, fail)
    assert await write(writer, documents(2)) == [STORED] * 2
    assert writer.stats.retries[error] >= 1


async def test_a_deleted_document_is_written_again(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.databases["activations"] = {"a": Stored({}, "2-x", deleted=True)}
    conflict = rewrites(lambda entries: [{**entries[0], "error": "conflict"}], writing=False)
    couchdb.script(conflict)
    assert await write(writer, [document("a")]) == [STORED]


async def test_a_conflict_with_nothing_ends(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    conflict = rewrites(lambda entries: [{**entries[0], "error": "conflict"}], writing=False)
    couchdb.script(*[conflict] * 100)
    [result] = await write(writer, [document("a")])
    assert reason(result) is RejectReason.REFUSED
    assert len(couchdb.faults) > 80


@pytest.mark.parametrize(
    "fault",
    [
        *[fails(status) for status in (408, 429, 500, 502, 503, 504)],
        *[shows_page(status) for status in (200, 201, 400, 418, 502)],
        cuts(after_writing=False),
    ],
)
async def test_what_may_pass_is_retried(
    writer: BulkWriter, couchdb: FakeCouchDB, fault: Any
) -> None:
    couchdb.script(fault, fault)
    assert await write(writer, documents(3)) == [STORED] * 3
    assert writer.stats.retries
    assert writer.availability.last_error is not None


@pytest.mark.parametrize("fault", [cuts(after_writing=True), shows_page(201, after_writing=True)])
async def test_what_a_lost_answer_had_written_counts_as_stored(
    writer: BulkWriter, couchdb: FakeCouchDB, fault: Any
) -> None:
    couchdb.script(fault)
    assert await write(writer, documents(3)) == [STORED] * 3
    assert len(couchdb.read_backs) == 1


async def test_a_replay_after_a_refusal_to_read_it_is_still_a_duplicate(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await write(writer, [document("a")])
    couchdb.script(fails(429))
    assert await write(writer, [document("a")]) == [DUPLICATE]


async def test_waits_grow_from_attempt_to_attempt(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    couchdb.script(*[fails(503)] * 8)
    await write(writer, [document("a")])
    assert time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


async def test_a_requested_pause_is_kept(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    couchdb.script(fails(429, headers={"Retry-After": "17"}))
    before = time.now
    await write(writer, [document("a")])
    assert time.now - before >= 17


async def test_an_absurd_pause_is_not_believed(
    writer: BulkWriter, couchdb: FakeCouchDB, time: Time
) -> None:
    couchdb.script(fails(503, headers={"Retry-After": "999999999"}))
    before = time.now
    await write(writer, [document("a")])
    assert time.now - before < 400


async def test_an_overload_lowers_the_limit(make_writer: MakeWriter, couchdb: FakeCouchDB) -> None:
    writer = await make_writer(request_documents=10)
    await write(writer, documents(300))
    assert writer.limit.current == 4
    couchdb.script(fails(503))
    await write(writer, documents(1, prefix="e"))
    assert writer.limit.current == 2


async def test_an_outage_is_outlasted(writer: BulkWriter, couchdb: FakeCouchDB) -> None:
    await write(writer, [document("a")])
    await couchdb.stop()
    writing = asyncio.create_task(write(writer, documents(10)))
    await until(lambda: writer.availability.down)
    assert not writing.done()
    await couchdb.restart()
    assert await writing == [STORED] * 10
    assert not writer.availability.down


async def test_the_writer_starts_before_the_database(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    await couchdb.stop()
    writer = await make_writer()
    writing = asyncio.create_task(write(writer, [document("a")]))
    await until(lambda: writer.availability.down)
    await couchdb.restart()
    assert await writing == [STORED]


async def test_a_deleted_database_is_created_again(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    await write(writer, [document("a")])
    couchdb.databases.clear()
    assert await write(writer, [document("b")]) == [STORED]
    assert held(couchdb) == {"b"}
    assert "_design/whisks.v2.1.0" in couchdb.databases["activations"]


async def test_a_database_that_may_not_be_created_is_waited_for(
    make_writer: MakeWriter, couchdb: FakeCouchDB, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await make_writer(create=False)
    writing = asyncio.create_task(write(writer, [document("a")]))
    await until(lambda: len(time.slept) >= 10)
    assert max(time.slept) == 30.0
    assert sum("PERSISTER_DATABASE_CREATE" in message for message in caplog.messages) == 1
    couchdb.databases["activations"] = {}
    assert await writing == [STORED]


async def test_wrong_credentials_are_one_line_and_mended_without_a_restart(
    make_writer: MakeWriter, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await make_writer(user="writer", password="s3cret")
    await write(writer, [document("a")])
    couchdb.user = ("writer", "another")
    writing = asyncio.create_task(write(writer, [document("b")]))
    await until(lambda: writer.stats.retries["401"] >= 5)
    assert sum("PERSISTER_COUCHDB_PASSWORD" in message for message in caplog.messages) == 1
    assert "s3cret" not in caplog.text
    couchdb.user = ("writer", "s3cret")
    assert await writing == [STORED]


POISON = [
    b'"s":"\xff"',
    rb'"s":"\ud800"',
    b'"n":1e400',
    b'"_foo":1',
]


@pytest.mark.parametrize("poison", POISON)
async def test_a_poison_document_costs_itself_and_three_requests(
    writer: BulkWriter, poison: bytes
) -> None:
    batch = documents(100)
    batch[37] = raw("poison", poison)
    results = await write(writer, batch)
    assert reason(results.pop(37)) is RejectReason.REFUSED
    assert results == [STORED] * 99
    assert sum(writer.stats.requests[status] for status in ("201", "400")) == 3
    assert writer.stats.narrowing_requests == 2


async def test_an_illegal_id_costs_itself(writer: BulkWriter) -> None:
    results = await write(writer, [document("a"), document("_b"), document("c")])
    assert results[::2] == [STORED] * 2
    assert results[1] == Refused(
        RejectReason.REFUSED, "illegal_docid: Only reserved document ids may start with _"
    )


async def test_what_nobody_suspects_is_found_by_dividing(
    writer: BulkWriter, couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = couchdb._check

    def refuse(content: dict[str, Any]) -> None:
        check({**content, "_odd": 1} if content.get("odd") else content)

    monkeypatch.setattr(couchdb, "_check", refuse)
    batch = [*documents(63), document("odd", odd=True)]
    results = await write(writer, batch)
    assert reason(results.pop()) is RejectReason.REFUSED
    assert results == [STORED] * 63
    assert len(couchdb.bulk_requests) <= 1 + 8 * 2 + 5


async def test_a_document_that_couchdb_finds_too_large_costs_itself(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.max_document_size = 10_000
    batch = documents(20)
    batch[7] = document("large", s="x" * 20_000)
    results = await write(writer, batch)
    assert reason(results.pop(7)) is RejectReason.TOO_LARGE
    assert results == [STORED] * 19
    assert len(couchdb.bulk_requests) == 2


async def test_a_proxys_limit_makes_requests_smaller_and_keeps_them_so(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.proxy_limit = 300_000
    batch = [document(f"d{number}", s="x" * 20_000) for number in range(40)]
    assert await write(writer, batch) == [STORED] * 40
    refused = writer.stats.requests["413"]
    assert refused > 0
    more = [document(f"e{number}", s="x" * 20_000) for number in range(40)]
    assert await write(writer, more) == [STORED] * 40
    assert writer.stats.requests["413"] == refused


async def test_a_document_beyond_a_proxys_limit_is_too_large(
    writer: BulkWriter, couchdb: FakeCouchDB
) -> None:
    couchdb.proxy_limit = 300_000
    small, large = await write(writer, [document("a"), document("b", s="x" * 400_000)])
    assert small is STORED
    assert reason(large) is RejectReason.TOO_LARGE


async def test_a_document_that_breaks_every_request_costs_itself(
    make_writer: MakeWriter, couchdb: FakeCouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    writer = await make_writer()

    async def broken(request: Any, answer: Any) -> Any:
        couchdb.faults.append(broken)
        if b"breaks" in await request.read():
            return await fails(500)(request, answer)
        return await answer()

    couchdb.script(broken)
    batch = [*documents(7), document("breaks")]
    results = await write(writer, batch)
    assert reason(results.pop()) is RejectReason.REFUSED
    assert results == [STORED] * 7
    assert not writer.availability.down
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) == 1


async def test_a_cancelled_write_does_not_disturb_the_others(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer(requests_in_flight=1, request_documents=2)
    go = asyncio.Event()
    couchdb.script(holds(go))
    first = asyncio.create_task(write(writer, documents(3, prefix="a")))
    second = asyncio.create_task(write(writer, documents(3, prefix="b")))
    await until(lambda: couchdb._at_once)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert await second == [STORED] * 3
    assert "a0002" not in held(couchdb)
    assert writer.waiting_documents == 0


async def test_stopping_ends_what_waits_without_a_result(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer(requests_in_flight=1, request_documents=2)
    go = asyncio.Event()
    couchdb.script(holds(go))
    in_flight = asyncio.create_task(write(writer, documents(2, prefix="a")))
    waiting = asyncio.create_task(write(writer, documents(2, prefix="b")))
    await until(lambda: couchdb._at_once)
    await writer.stop()
    for task in (in_flight, waiting):
        with pytest.raises(SinkStopped):
            await task
    with pytest.raises(SinkStopped):
        await write(writer, [document("c")])
    go.set()


async def test_stopping_ends_a_write_that_is_being_retried(
    make_writer: MakeWriter, couchdb: FakeCouchDB
) -> None:
    writer = await make_writer()
    await write(writer, [document("a")])
    await couchdb.stop()
    writing = asyncio.create_task(write(writer, documents(2)))
    await until(lambda: writer.stats.retries)
    await writer.stop()
    with pytest.raises(SinkStopped):
        await writing


async def test_a_defect_of_ours_crashes_the_writer_and_its_callers(
    make_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await make_writer()

    async def broken(_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(writer._settling, "settle", broken)
    with pytest.raises(ZeroDivisionError):
        await write(writer, [document("a")])
    await until(lambda: writer.crashed)
    writer.crash_reason = None


async def test_every_request_is_shown_to_who_counts_them(writer: BulkWriter) -> None:
    seen: list[str] = []
    writer.requests.on_request = lambda status, _: seen.append(status)
    await write(writer, [document("a")])
    await write(writer, [document("a")])
    assert seen[-3:] == ["201", "201", "200"]


@pytest.mark.parametrize("id_", ["_design/evil", "_local/x", "_", "_x/y"])
async def test_no_id_that_couchdb_keeps_to_itself_is_ever_sent(
    id_: str, couchdb: FakeCouchDB, writer: BulkWriter
) -> None:
    results = await write(writer, [document("a"), document(id_), document("b")])

    assert results == [STORED, RESERVED_ID, STORED]
    assert await write(writer, [document(id_)]) == [RESERVED_ID]
    assert held(couchdb) == {"a", "b"}
