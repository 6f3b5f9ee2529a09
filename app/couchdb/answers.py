"""Parses CouchDB's answers: status, headers and body to entries or an error. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import msgspec

from app.couchdb.errors import (
    AnswerTooLarge,
    DatabaseError,
    DatabaseMissing,
    EntriesFailed,
    Misconfigured,
    PartlyStored,
    RequestRefused,
    RequestTooLarge,
    Unavailable,
)
from app.process.printable import shown
from models import json_grammar, json_text
from models.json_grammar import MAX_DEPTH
from models.recursion import room_for

LONGEST_REASON = 200
"""Most characters of a reason to keep: a validation function can answer with anything."""

LONGEST_CAUSE = 64
"""Most characters of an error that is not text."""

FIRST_WORDS = 80
"""Characters to show of an answer that is not CouchDB's."""


UNNAMED = "error"
"""The error of entries whose reason is what counts, such as `internal_server_error`."""

_TEMPORARILY_LOCKED = "temporarily locked"
"""What CouchDB 3.4 says after wrong passwords; it locks accounts for other reasons, too."""

MOST_VALUES = 200_000
"""Most values of an answer to decode: each takes some hundred bytes, however short it is written.
CouchDB's rows have six values, and there are some thousand rows. Documents that are read back are
not decoded.
"""

_LARGEST_DEEP = 8 * 1024 * 1024
"""Most bytes of deeply nested documents: a megabyte takes a second to scan."""

UNANSWERED = "unanswered"
"""The cause if an answer lacks some of the documents that were asked for."""

_NULL = msgspec.Raw(b"null")

_rows_left: ContextVar[int] = ContextVar("_rows_left")

_own_fields = json_text.Names(["_id", "_rev"]).members
_OWN_FIELDS = 2


class Entry(msgspec.Struct):
    """The entry for one document in a `_bulk_docs` answer: a revision or an error.

    A validation function chooses `error` and `reason`, so they may be any JSON value.
    """

    id: str = ""
    rev: str = ""
    error: Any = ""
    reason: Any = ""

    @property
    def stored(self) -> bool:
        """Whether it says that the document was written, and has no error."""
        return bool(self.rev) and not self.error

    @property
    def cause(self) -> str:
        """The error as a short text, which may be anything."""
        error = self.reason if self.error == UNNAMED and self.reason else self.error
        return error if isinstance(error, str) else shown(error, longest=LONGEST_CAUSE)

    @property
    def explanation(self) -> str:
        """The error and its reason, in CouchDB's words."""
        return explain(self.error, self.reason)


class Row(msgspec.Struct):
    """A row of `_all_docs?include_docs=true`; `doc` is null for a missing or deleted document."""

    key: str = ""
    doc: msgspec.Raw = _NULL
    value: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL

    def __post_init__(self) -> None:
        left = _rows_left.get()
        if not left:
            raise ValueError("more rows than were asked for")
        _rows_left.set(left - 1)


class _Rows(msgspec.Struct):
    rows: list[Row]


class _Value(msgspec.Struct):
    deleted: bool = False


class _Named(msgspec.Struct):
    id: str = ""


class _Ids(msgspec.Struct):
    rows: list[_Named] = []


class Failure(msgspec.Struct):
    """The body of every CouchDB answer that is not a success."""

    error: Any
    reason: Any = None


class _Item(msgspec.Struct):
    """An item of a list that may come instead; items of stored documents have no error."""

    error: Any = None
    reason: Any = None


_entries = msgspec.json.Decoder(list[Entry])
_rows = msgspec.json.Decoder(_Rows)
_ids = msgspec.json.Decoder(_Ids)
_word = msgspec.json.Decoder(str)
_value = msgspec.json.Decoder(_Value)
_failure = msgspec.json.Decoder(Failure)
_items = msgspec.json.Decoder(list[_Item])


def explain(error: object, reason: object) -> str:
    """An error and its reason as one short, printable text."""
    told = "" if reason is None else reason
    return f"{shown(error, longest=LONGEST_REASON)}: {shown(told, longest=LONGEST_REASON)}"


def read_entries(body: bytes) -> list[Entry]:
    """The entries of a `_bulk_docs` answer; raises `Unavailable` if it is not CouchDB's."""
    entries: list[Entry] = read(_entries, body)
    return entries


def read_documents(body: bytes, ids: Sequence[str]) -> dict[str, bytes]:
    """The documents of an `_all_docs` answer by id, without missing and deleted ones.

    Each has its `_id` and a `_rev`: what is no document of CouchDB's condemns no record.

    Args:
        body: the body of the answer.
        ids: which documents were asked for.

    Raises:
        Unavailable: the answer is not CouchDB's: it is about other documents, or lacks what begins
            with `_`.
        EntriesFailed: the answer does not have each document or say that there is none. When a
            shard does not answer, CouchDB ends its answer early, with status 200
            (apache/couchdb#3059).
        AnswerTooLarge: some documents are deeply nested, and the answer is too large to scan.
    """
    token = _rows_left.set(len(ids))
    try:
        with room_for(MAX_DEPTH):  # that of a record; what is deeper takes a hundred times as long
            found: _Rows = _decoded(_rows, body)
    except RecursionError:
        if len(body) > _LARGEST_DEEP:
            raise AnswerTooLarge(_LARGEST_DEEP) from None
        rows = _deep_rows(body, len(ids))
    else:
        rows = found.rows
    finally:
        _rows_left.reset(token)
    _check_answered(rows, ids)
    documents = {row.key: bytes(row.doc) for row in rows if bytes(row.doc) != b"null"}
    for id_, document in documents.items():
        if not _is_of(document, id_):
            raise _foreign("a document lacks its `_rev`, or is not the one that was asked for")
    return documents


def _check_answered(rows: list[Row], ids: Sequence[str]) -> None:
    if len(rows) < len(ids):
        raise EntriesFailed(
            f"the answer has {len(rows)} rows for {len(ids)} documents", error=UNANSWERED
        )
    if Counter(row.key for row in rows) != Counter(ids):
        raise _foreign("it is about documents that nobody asked for")
    for row in rows:
        error = _why_not_read(row)
        if error:
            raise EntriesFailed(f"a document cannot be read: {error}", error=error)


def _why_not_read(row: Row) -> str:
    """The error of a row that has no document and does not say that there is none; else empty."""
    if bytes(row.doc) != b"null":
        return ""
    try:
        if bytes(row.error) != b"null":
            error = _word.decode(row.error)
            return "" if error == "not_found" else shown(error, longest=LONGEST_CAUSE)
        return "" if _value.decode(row.value).deleted else UNANSWERED
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNANSWERED


def _is_of(document: bytes, id_: str) -> bool:
    """Whether a document has this `_id`, and a revision, which CouchDB writes first of all."""
    found: dict[str, tuple[int, int]] = {}
    if document[:1] != b"{":
        return False
    try:
        for name, _, _, start, end in _own_fields(document):
            found[name] = start, end
            if len(found) == _OWN_FIELDS:
                own, revision = (document[slice(*found[name])] for name in ("_id", "_rev"))
                return _word.decode(own) == id_ and revision[:1] == b'"'
    except (ValueError, LookupError):  # its `_id` is no text
        return False
    return False


def _deep_rows(body: bytes, most: int) -> list[Row]:
    """The rows of an `_all_docs` answer of any depth: OpenWhisk writes up to 1,000 levels."""
    try:
        json_grammar.check_of_any_depth(body)
        rows = list(islice(_rows_of(body), most + 1))
        found = [_deep_row(body, row) for row in rows[:most]]
    except (ValueError, LookupError):
        raise _not_json(body) from None
    if len(rows) > most:
        raise _not_json(body)
    return found


def _deep_row(body: bytes, start: int) -> Row:
    fields = {json_text.name(body, one): one for one in json_text.members(body, start)}
    token = _rows_left.set(1)
    try:
        row = Row(str(json_text.shallow(body, *fields["key"][2:])))
    finally:
        _rows_left.reset(token)
    for name in ("doc", "value", "error"):
        if name in fields:
            setattr(row, name, msgspec.Raw(body[fields[name].start : fields[name].end]))
    return row


def _rows_of(body: bytes) -> Iterator[int]:
    """The start of each row in a checked `_all_docs` answer; raises ValueError."""
    if body.lstrip()[:1] != b"{":
        raise ValueError("no object")
    for member in json_text.members(body):
        if json_text.name(body, member) == "rows" and body[member.start : member.start + 1] == b"[":
            for start, _ in json_text.items(body, member.start):
                if body[start : start + 1] != b"{":
                    raise ValueError("a row is no object")
                yield start


def read_ids(body: bytes) -> list[str]:
    """The ids in an `_all_docs` answer; raises `Unavailable` if it is not CouchDB's."""
    found: _Ids = read(_ids, body)
    return [row.id for row in found.rows]


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object; raises `Unavailable` if the answer is not CouchDB's."""
    found: dict[str, Any] = read(msgspec.json.Decoder(dict[str, Any]), body)
    return found


def read(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Decode an answer; raises `Unavailable` if it is not CouchDB's, too deep or too large."""
    if _many_values(body):
        raise Unavailable(
            f"the answer has more than {MOST_VALUES:,} values, as none of CouchDB's has "
            f"({_first_words(body)})",
            cause="not-json",
        )
    try:
        return _decoded(decoder, body)
    except RecursionError:
        raise _not_json(body) from None


def _many_values(body: bytes) -> bool:
    """Whether there may be too many values to decode; marks inside strings count as well."""
    if len(body) <= MOST_VALUES:
        return False
    return json_text.value_marks(body) > MOST_VALUES


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _not_json(body) from None


def _not_json(body: bytes) -> Unavailable:
    return Unavailable(
        f"the answer is not CouchDB's JSON ({_first_words(body)}): is a proxy answering in its "
        "place?",
        cause="not-json",
    )


def _foreign(why: str) -> Unavailable:
    return Unavailable(
        f"the answer is not CouchDB's: {why}; is a proxy answering in its place?", cause="not-json"
    )


def failure(status: int, headers: Mapping[str, str], body: bytes) -> DatabaseError:
    """The error for an answer other than 200, 201 and 202."""
    told = _read_failure(body)
    error = _failure_of(status, headers, body, told)
    error.foreign = told is None
    return error


def _has_entries(body: bytes) -> bool:
    """Whether it is a list of entries, one per document."""
    if not body.lstrip().startswith(b"["):
        return False
    try:
        entries = read_entries(body)
    except Unavailable:
        return False
    return all(entry.id and (entry.rev or entry.error) for entry in entries)


def _failure_of(  # noqa: PLR0911 - one return for each verdict
    status: int, headers: Mapping[str, str], body: bytes, told: Failure | None
) -> DatabaseError:
    message = f"HTTP {status}, {_said(told, headers, body)}"
    match status:
        case 417 | 500 if told and _has_entries(body):
            return PartlyStored(message, cause=str(status), body=body)
        case 413:
            return RequestTooLarge(message, document_id=_too_large_document(told))
        case 400 if told:
            return RequestRefused(message)
        case 404 if told and told.error == "not_found":
            return DatabaseMissing(message, cause="404")
        case 403 if told and _TEMPORARILY_LOCKED in str(told.reason):
            return Misconfigured(message, cause="locked")
        case 401 | 403:
            return Misconfigured(message, cause=str(status))
        case 404:
            return Misconfigured(f"{message}: no CouchDB at this address", cause="404")
        case _ if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
            return Misconfigured(f"{message}: a redirect to another address", cause="redirect")
        case _:
            return Unavailable(
                message,
                cause=str(status),
                maybe_written=status != 429,  # noqa: PLR2004 - refused before it was read
                retry_after=retry_after(headers.get("Retry-After", ""), datetime.now(UTC)),
            )


def _said(told: Failure | None, headers: Mapping[str, str], body: bytes) -> str:
    if told:
        return explain(told.error, told.reason)
    kind = shown(headers.get("Content-Type", "no content type"), longest=FIRST_WORDS)
    return f"and the answer is not CouchDB's JSON ({kind}; {_first_words(body)})"


def _first_words(body: bytes) -> str:
    return f"it begins with: {shown(body[:FIRST_WORDS])}" if body else "it is empty"


def _read_failure(body: bytes) -> Failure | None:
    """CouchDB's error, if the body has one; a 500 may have a list of entries instead."""
    if _many_values(body):
        return None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _failure.decode(body)
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        failed = (one for one in _items.decode(body) if one.error is not None)
        return next((Failure(one.error, one.reason) for one in failed), None)
    return None


def _too_large_document(told: Failure | None) -> str | None:
    return str(told.reason) if told and told.error == "document_too_large" else None


def retry_after(value: str, now: datetime) -> float | None:
    """The seconds that a `Retry-After` header asks for, as a number or an HTTP date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a year or an hour of twenty digits
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
