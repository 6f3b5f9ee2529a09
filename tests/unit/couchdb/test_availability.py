import logging

import pytest

from app.couchdb.answers import failure
from app.couchdb.availability import CHECK_DATABASE, CHECK_LOG, Availability, advice
from app.couchdb.errors import EntriesFailed, Misconfigured, Unavailable
from tests.fakes.time import Time

REFUSED = Unavailable("no connection", cause="connection")
SLOWER = Unavailable("HTTP 429", cause="429")
UNAUTHORIZED = Misconfigured("HTTP 401", cause="401")


@pytest.fixture
def availability(time: Time, caplog: pytest.LogCaptureFixture) -> Availability:
    caplog.set_level(logging.INFO, logger="app.couchdb")
    return Availability("http://db:5984/a", clock=time.clock, wall=lambda: time.now + 1e9)


def fail_for(availability: Availability, time: Time, seconds: float) -> None:
    for _ in range(100):
        availability.failed(REFUSED)
        time.now += seconds / 100
    availability.failed(REFUSED)


def test_a_hiccup_is_no_news(
    availability: Availability, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    fail_for(availability, time, 0.5)
    availability.succeeded()
    assert caplog.messages == []
    assert not availability.down
    assert availability.last_error == "no connection"


def test_an_outage_is_two_lines(
    availability: Availability, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    fail_for(availability, time, 60)
    assert availability.down
    assert availability.failing_since == 1000.0 + 1e9
    availability.succeeded()
    availability.succeeded()
    assert not availability.down
    assert availability.failing_since is None
    assert len(caplog.messages) == 2
    assert "PERSISTER_COUCHDB_URL" in caplog.messages[0]
    assert "again, after 60 s" in caplog.messages[1]


def test_a_missing_right_is_told_at_once_and_once(
    availability: Availability, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        availability.failed(UNAUTHORIZED)
    assert len(caplog.messages) == 1
    assert "PERSISTER_COUCHDB_USER" in caplog.messages[0]
    assert caplog.records[0].levelno == logging.ERROR


def test_another_cause_is_another_line(
    availability: Availability, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    fail_for(availability, time, 60)
    availability.failed(UNAUTHORIZED)
    assert len(caplog.messages) == 2


def test_being_asked_to_slow_down_in_passing_is_no_news(
    availability: Availability, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        for _ in range(5):
            availability.failed(SLOWER)
            time.now += 1
        assert availability.failing_since is not None
        availability.succeeded()
    assert caplog.messages == []


def test_being_asked_to_slow_down_and_nothing_else_is_said_once(
    availability: Availability, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(30):
        availability.failed(SLOWER)
        time.now += 1
    assert availability.down
    assert len(caplog.messages) == 1
    assert "HTTP 429" in caplog.messages[0]


def test_entries_that_all_fail_are_said_in_couchdbs_words(
    availability: Availability, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    full = EntriesFailed(
        "insufficent_storage: database_dir is too full", error="insufficent_storage"
    )
    availability.failed(full)
    time.now += 2
    availability.failed(full)
    assert len(caplog.messages) == 1
    assert "database_dir is too full" in caplog.messages[0]
    assert "nothing is set aside" in caplog.messages[0]


def test_what_to_do_fits_what_happened_and_who_tries_again() -> None:
    full = Unavailable("HTTP 500, error: internal_server_error", cause="500")
    assert advice(full) == f"retrying until it does: {CHECK_LOG}"
    away = Unavailable("no connection", cause="connection")
    assert advice(away, retried=False) == CHECK_DATABASE
    entries = EntriesFailed("forbidden: no", error="forbidden")
    assert "retried" in advice(entries)
    assert "retried" not in advice(entries, retried=False)


LIST = b'[{"id":"a","error":"internal_server_error","reason":"No DB shards"}]'
"""CouchDB's own 500, when its disk is full or `max_dbs_open` is used up."""

PAGE = b"<html><body>Request blocked</body></html>"


@pytest.mark.parametrize(
    "status, body, advised",
    [
        (500, LIST, "see CouchDB's log"),
        (500, PAGE, "check that CouchDB runs"),
        (502, PAGE, "check that CouchDB runs"),
        (503, b'{"error":"error","reason":"maintenance_mode"}', "CouchDB is there"),
        (400, b'{"error":"illegal_docid","reason":"partition:id"}', "is it partitioned?"),
        (402, b'{"error":"payment_required","reason":"no"}', "CouchDB is there"),
        (403, b'{"error":"forbidden","reason":"no"}', "the right to read and write"),
        (403, PAGE, "something in front of CouchDB"),
        (401, PAGE, "something in front of CouchDB"),
    ],
)
def test_what_to_do_depends_on_who_answers(status: int, body: bytes, advised: str) -> None:
    assert advised in advice(failure(status, {"Content-Type": "text/html"}, body))
