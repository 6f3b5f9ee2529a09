import tracemalloc
from datetime import UTC, datetime

import pytest

from app.couchdb.answers import (
    Entry,
    failure,
    read_documents,
    read_entries,
    read_object,
    retry_after,
)
from app.couchdb.errors import (
    AnswerTooLarge,
    DatabaseMissing,
    EntriesFailed,
    Misconfigured,
    PartlyStored,
    RequestRefused,
    RequestTooLarge,
    Unavailable,
)
from models.json_grammar import MAX_DEPTH

PAGE = b"<html></html>"
# Python 3.13 reads ten thousand levels, 3.11 a thousand.
DEEP = b"[" * 25_000 + b"]" * 25_000


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


def test_only_wrong_passwords_lock_an_account_for_some_minutes() -> None:
    causes = [
        failure(403, {}, told("forbidden", why)).cause
        for why in ("Account is temporarily locked due to ...", "Account is locked: not paid")
    ]
    assert causes == ["locked", "403"]


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
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 24, 12, tzinfo=UTC)) == seconds


def test_entries_are_read_with_and_without_ok() -> None:
    assert read_entries(b'[{"ok":true,"id":"a","rev":"1-x"},{"id":"b","error":"conflict"}]') == [
        Entry(id="a", rev="1-x"),
        Entry(id="b", error="conflict"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        *(PAGE, b"", b'{"ok":true}', b"[1]", b'[{"id":1}]', b'["\xff"]'),
        b'[{"id":"a","error":"forbidden","reason":%b}]' % DEEP,
    ],
)
def test_an_answer_of_another_form_is_not_couchdbs(body: bytes) -> None:
    with pytest.raises(Unavailable) as error:
        read_entries(body)
    assert error.value.cause == "not-json"
    assert error.value.maybe_written


def test_an_error_of_any_depth_is_a_verdict() -> None:
    assert type(failure(500, {}, b'{"error":%b}' % DEEP)) is Unavailable


def test_an_object_of_any_depth_is_read_or_not_couchdbs() -> None:
    with pytest.raises(Unavailable):
        read_object(b'{"doc_count":%b}' % DEEP)


@pytest.mark.parametrize("error", [b"[" * 400 + b"]" * 400, b"7", b"null"])
def test_an_error_that_is_no_text_has_a_short_cause(error: bytes) -> None:
    [entry] = read_entries(b'[{"id":"a","error":%b}]' % error)
    assert len(entry.cause) < 100


def test_documents_of_any_depth_are_read_back() -> None:
    """OpenWhisk and CouchDB take more levels than Python has frames."""
    deep = b'{"_id":"a","_rev":"1-x","r":%b}' % DEEP
    gone = b'{"key":"x","error":"not_found"},{"key":"b","value":{"deleted":true},"doc":null}'
    rows = b'{"rows":[%b,{"key":"a","doc":%b}]}' % (gone, deep)
    assert read_documents(rows, ["x", "b", "a"]) == {"a": deep}


def test_documents_as_deep_as_records_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed for any depth takes a hundred times as long, a second for a megabyte."""
    monkeypatch.delattr("models.json_grammar.check_of_any_depth")
    levels = MAX_DEPTH - 1
    document = b'{"_id":"a","_rev":"1-x","r":%b%b}' % (b"[" * levels, b"]" * levels)
    rows = b'{"rows":[{"key":"a","doc":%b}]}' % document
    assert read_documents(rows, ["a"]) == {"a": document}


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        DEEP[:5000],
        b'{"rows":[%b]}' % DEEP,
        b'{"rows":[{"doc":%b}]}' % DEEP,
        b'{"rows":[{"key":"a","doc":%b}' % DEEP,
    ],
)
def test_what_is_deep_and_no_answer_is_not_couchdbs(body: bytes) -> None:
    with pytest.raises(Unavailable):
        read_documents(body, ["a", "b"])


@pytest.mark.parametrize("more", [b"1", DEEP])
def test_rows_that_nobody_asked_for_are_not_read(more: bytes) -> None:
    document = b'{"_rev":"1-x","_id":"a","r":%b}' % more
    missing = b'{"key":"b","error":"not_found"},'
    rows = b'{"rows":[%b{"key":"a","doc":%b}]}' % (missing * 2, document)
    assert read_documents(rows, ["b", "b", "a"]) == {"a": document}
    with pytest.raises(Unavailable) as error:
        read_documents(rows, ["b", "a"])
    assert error.value.cause == "not-json"


def test_large_answers_of_many_levels_are_asked_for_in_halves() -> None:
    rows = b'{"rows":[{"key":"a","doc":%b},{"key":"b","doc":"%b"}]}' % (DEEP, b"x" * 9_000_000)
    with pytest.raises(AnswerTooLarge):
        read_documents(rows, ["a", "b"])


@pytest.mark.parametrize(
    "row, cause",
    [
        (b"", "unanswered"),
        (b',{"key":"b","error":"timeout"}', "timeout"),
        (b',{"key":"b","error":{"nodedown":1}}', "unanswered"),
        (b',{"id":"b","key":"b","value":{"rev":"1-x"},"doc":null}', "unanswered"),
        (b',{"key":"b"}', "unanswered"),
    ],
)
@pytest.mark.parametrize("document", [b"{}", DEEP])
def test_what_an_answer_says_nothing_of_is_not_missing(
    document: bytes, row: bytes, cause: str
) -> None:
    with pytest.raises(EntriesFailed) as error:
        read_documents(b'{"rows":[{"key":"a","doc":%b}%b]}' % (document, row), ["a", "b"])
    assert error.value.cause == cause
    assert error.value.says_whose_fault


def test_a_417_tells_of_the_documents_that_were_refused() -> None:
    body = b'[{"id":"a","error":"forbidden","reason":"no"}]'
    error = failure(417, {}, body)
    assert isinstance(error, PartlyStored)
    assert error.body == body


def test_missing_and_deleted_documents_are_left_out() -> None:
    rows = (
        b'{"rows":[{"key":"a","error":"not_found"},'
        b'{"id":"b","key":"b","value":{"rev":"2-x","deleted":true},"doc":null},'
        b'{"id":"c","key":"c","value":{"rev":"1-x"},"doc":{"_id":"c","_rev":"1-x","n":1.0}}]}'
    )
    assert read_documents(rows, ["a", "b", "c"]) == {"c": b'{"_id":"c","_rev":"1-x","n":1.0}'}


@pytest.mark.parametrize(
    "row",
    [
        b'{"key":"a","doc":{"n":1}}',
        b'{"key":"a","doc":{}}',
        b'{"key":"a","doc":false}',
        b'{"key":"a","doc":["_id","a","_rev","1-x"]}',
        b'{"key":"a","doc":{"_id":"a"}}',
        b'{"key":"a","doc":{"_id":"a","_rev":5}}',
        b'{"key":"a","doc":{"_id":5,"_rev":"1-x"}}',
        b'{"key":"a","doc":{"_id":"b","_rev":"1-x"}}',
        b'{"key":"a","doc":{"_id":"a","n":%b}}' % DEEP,
        b'{"key":"b","doc":{"_id":"b","_rev":"1-x"}}',
        b'{"key":"b","error":"not_found"}',
        b'{"key":"b","error":"timeout"}',
    ],
)
def test_what_was_not_asked_for_or_is_no_document_of_couchdb_is_no_answer(row: bytes) -> None:
    """Compared with a record, it would condemn it."""
    with pytest.raises(Unavailable, match="proxy") as error:
        read_documents(b'{"rows":[%b]}' % row, ["a"])
    assert error.value.cause == "not-json"


def test_documents_may_come_in_any_order() -> None:
    one, other = (b'{"_id":"%b","_rev":"1-x"}' % id_ for id_ in (b"a", b"b"))
    rows = b'{"rows":[{"key":"b","doc":%b},{"key":"a","doc":%b}]}' % (other, one)
    assert read_documents(rows, ["a", "b"]) == {"a": one, "b": other}


@pytest.mark.parametrize("body", [b'{"error":[%b[]]}', b'{"reason":"x","error":{"a":[%b[]]}}'])
def test_an_answer_of_millions_of_values_is_not_built(body: bytes) -> None:
    body %= b"[]," * 1_500_000
    tracemalloc.start()
    try:
        with pytest.raises(Unavailable, match="more than 200,000 values"):
            read_object(body)
        with pytest.raises(Unavailable, match="more than 200,000 values"):
            read_entries(b"[%b]" % body)
        error = failure(500, {}, body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.foreign
    assert most < 30_000_000
