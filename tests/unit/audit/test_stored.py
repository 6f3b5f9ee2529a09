"""Reading the database."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from app.audit import stored
from app.audit.findings import Findings, Found, Kind
from app.audit.stored import read_stored
from app.audit.verdicts import Verdict
from app.couchdb import Database, DatabaseError
from app.couchdb.errors import Unavailable


class Asked:
    """A database with a script of failures."""

    def __init__(self, *failures: DatabaseError) -> None:
        self.requests: list[list[str]] = []
        self._failures = list(failures)

    async def read_back(self, ids: Sequence[str], largest: int) -> dict[str, bytes]:
        assert largest == stored.LARGEST_ANSWER
        if self._failures:
            raise self._failures.pop(0)
        self.requests.append(list(ids))
        return {one: b'{"_id":"%s"}' % one.encode() for one in ids if not one.endswith("missing")}


class Quiet:
    def __init__(self) -> None:
        self.done = 0

    def begin(self, step: str, total: int) -> None:
        pass

    def forward(self, count: int) -> None:
        self.done += count

    def say(self, text: str) -> None:
        pass


@pytest.fixture
def findings() -> Iterator[Findings]:
    made = Findings()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "RETRY_SECONDS", (0.0, 0.0))


def add(findings: Findings, *documents: tuple[str, int]) -> None:
    findings.add_records(
        Found("t", 0, number, 0, Kind.EXPECTED, None, document, b"d", b"d", size)
        for number, (document, size) in enumerate(documents)
    )


async def read(database: Any, findings: Findings) -> int:
    watcher = Quiet()
    await read_stored(cast("Database", database), findings, watcher)
    return watcher.done


async def test_every_document_is_asked_for_once(findings: Findings) -> None:
    add(findings, *((f"a/{number:04}", 10) for number in range(1200)))
    database = Asked()
    assert await read(database, findings) == 1200
    assert sorted(map(len, database.requests)) == [200, 500, 500]
    assert len({one for request in database.requests for one in request}) == 1200


async def test_large_documents_are_asked_for_in_small_requests(findings: Findings) -> None:
    megabytes = 1024 * 1024
    add(findings, ("a/1", 5 * megabytes), ("a/2", 5 * megabytes), ("a/3", 20 * megabytes))
    database = Asked()
    await read(database, findings)
    assert sorted(database.requests) == [["a/1"], ["a/2"], ["a/3"]]


async def test_a_busy_database_is_asked_again(findings: Findings) -> None:
    add(findings, ("a/1", 1), ("a/missing", 1))
    database = Asked(Unavailable("busy", cause="503"), Unavailable("slowly", cause="429"))
    assert await read(database, findings) == 2
    findings.add_committed("t", 0, 9)
    findings.judge()
    assert (findings.count(Verdict.DIFFERENT), findings.count(Verdict.MISSING)) == (1, 1)


async def test_a_database_that_stays_away_is_an_error(findings: Findings) -> None:
    add(findings, ("a/1", 1))
    with pytest.raises(Unavailable):
        await read(Asked(*(Unavailable("busy", cause="503") for _ in range(9))), findings)
    with pytest.raises(Unavailable):
        await read(Asked(Unavailable("nobody", cause="connection")), findings)


async def test_nothing_is_read_of_the_findings_any_more_when_the_database_fails(
    findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are closed next, and Python would complain of whoever still reads them."""
    add(findings, *((f"a/{number:04}", 10) for number in range(5000)))
    expected = findings.documents()
    monkeypatch.setattr(findings, "documents", lambda: expected)
    away = [Unavailable("nobody", cause="connection") for _ in range(100)]
    with pytest.raises(Unavailable):
        await read(Asked(*away), findings)
    assert inspect.getgeneratorstate(expected) == inspect.GEN_CLOSED


async def test_what_cannot_be_read_is_different(findings: Findings) -> None:
    class Strange(Asked):
        async def read_back(self, ids: Sequence[str], largest: int) -> dict[str, bytes]:  # noqa: ARG002
            return dict.fromkeys(ids, b"[" * 5000)

    add(findings, ("a/1", 1))
    await read(Strange(), findings)
    findings.add_committed("t", 0, 9)
    findings.judge()
    assert findings.count(Verdict.DIFFERENT) == 1


async def test_nobody_waits_as_long_as_a_database_says(
    findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(stored, "sleep", sleep)
    add(findings, ("a/1", 1))
    database = Asked(*[Unavailable("busy", cause="503", retry_after=10.0**11)] * 2)
    assert await read(database, findings) == 1
    assert waited == [15.0, 15.0]


async def test_a_database_that_does_not_answer_in_time_is_not_asked_five_times(
    findings: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    class Slow(Asked):
        async def read_back(self, ids: Sequence[str], largest: int) -> dict[str, bytes]:  # noqa: ARG002
            nonlocal now
            now += 30.0
            self.requests.append(list(ids))
            raise Unavailable("no answer in time", cause="timeout")

    monkeypatch.setattr(stored, "monotonic", lambda: now)
    add(findings, ("a/1", 1))
    slow = Slow()
    with pytest.raises(Unavailable):
        await read(slow, findings)
    assert len(slow.requests) == 2
