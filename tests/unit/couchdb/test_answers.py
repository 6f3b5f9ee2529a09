from datetime import UTC, datetime

import pytest

from app.couchdb.answers import Entry, failure, read_documents, read_entries, retry_after
from app.couchdb.errors import (
    DatabaseMissing,
    Misconfigured,
    RequestRefused,
    RequestTooLarge,
    Unavailable,
)

PAGE = b"<html></html>"


def told(error: str, reason: str = "why") -> bytes:
    return f'{{"error":"{error}","reason":"{reason}"}}'.encode()


@pytest.mark.parametrize(
    "status,body,verdict",
    [
        (400, told("bad_request"), RequestRefused),
        (400, PAGE, Unavailable),
        (401, told("unauthorized"), Misconfigured),
        (403, PAGE, Misconfigured),
        (404, told("not_found"), DatabaseMissing),
        (404, PAGE, Misconfigured),
        (301, PAGE, Misconfigured),
        (408, PAGE, Unavailable),
        (413, told("document_too_large"), RequestTooLarge),
        (413, PAGE, RequestTooLarge),
        (418, PAGE, Unavailable),
        (429, told("too_many_requests"), Unavailable),
        (500, told("internal_server_error"), Unavailable),
        (503, b"", Unavailable),
    ],
)
def test_a_status_is_one_verdict(status: int, body: bytes, verdict: type[Exception]) -> None:
    assert type(failure(status, {}, body)) is verdict


def test_only_couchdb_itself_says_that_a_database_is_missing() -> None:
    assert not isinstance(failure(404, {}, PAGE), DatabaseMissing)


def test_a_413_names_the_document_only_when_couchdb_does() -> None:
    named = failure(413, {}, told("document_too_large", "guest/1"))
    assert isinstance(named, RequestTooLarge)
    assert named.document_id == "guest/1"
    for body in (PAGE, told("too_large", "the request entity is too large")):
        unnamed = failure(413, {}, body)
        assert isinstance(unnamed, RequestTooLarge)
        assert unnamed.document_id is None


def test_a_long_reason_is_cut() -> None:
    assert len(str(failure(400, {}, told("forbidden", "x" * 5000)))) < 300


@pytest.mark.parametrize(
    "value,seconds",
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("", None),
        ("-1", None),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 24, 12, tzinfo=UTC)) == seconds


def test_entries_are_read_with_and_without_ok() -> None:
    assert read_entries(b'[{"ok":true,"id":"a","rev":"1-x"},{"id":"b","error":"conflict"}]') == [
        Entry(id="a", rev="1-x"),
        Entry(id="b", error="conflict"),
    ]


@pytest.mark.parametrize("body", [PAGE, b"", b'{"ok":true}', b"[1]", b'[{"id":1}]', b'["\xff"]'])
def test_an_answer_of_another_form_is_not_couchdbs(body: bytes) -> None:
    with pytest.raises(Unavailable) as error:
        read_entries(body)
    assert error.value.cause == "not-json"
    assert error.value.maybe_written


def test_missing_and_deleted_documents_are_left_out() -> None:
    rows = (
        b'{"rows":[{"key":"a","error":"not_found"},'
        b'{"id":"b","key":"b","value":{"rev":"2-x","deleted":true},"doc":null},'
        b'{"id":"c","key":"c","value":{"rev":"1-x"},"doc":{"_id":"c","n":1.0}}]}'
    )
    assert read_documents(rows) == {"c": b'{"_id":"c","n":1.0}'}
