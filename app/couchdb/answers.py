"""Reading CouchDB's answers: pure, from status, headers and body to entries or an error."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from app.couchdb.errors import (
    DatabaseError,
    DatabaseMissing,
    Misconfigured,
    RequestRefused,
    RequestTooLarge,
    Unavailable,
)

LONGEST_REASON = 200
"""Characters kept of a reason: a validation function can answer with anything."""


class Entry(msgspec.Struct):
    """What `_bulk_docs` answers for one document: a revision or an error."""

    id: str = ""
    rev: str = ""
    error: str = ""
    reason: str = ""

    @property
    def explanation(self) -> str:
        """The error and its reason, in CouchDB's words."""
        return explain(self.error, self.reason)


class Row(msgspec.Struct):
    """What `_all_docs?include_docs=true` answers for one key; no `doc` when missing or deleted."""

    key: str = ""
    doc: msgspec.Raw = msgspec.Raw(b"null")


class _Rows(msgspec.Struct):
    rows: list[Row]


class _Failure(msgspec.Struct):
    """The body of every CouchDB answer that is not a success."""

    error: str
    reason: str | None = None


_entries = msgspec.json.Decoder(list[Entry])
_rows = msgspec.json.Decoder(_Rows)
_failure = msgspec.json.Decoder(_Failure)


def explain(error: str, reason: str | None) -> str:
    """An error and its reason as one short text."""
    return f"{error}: {(reason or '')[:LONGEST_REASON]}"


def read_entries(body: bytes) -> list[Entry]:
    """The entries of a `_bulk_docs` answer; raises `Unavailable` when it is not CouchDB's."""
    entries: list[Entry] = _decoded(_entries, body)
    return entries


def read_documents(body: bytes) -> dict[str, bytes]:
    """The documents of an `_all_docs` answer by id, without missing and deleted ones.

    Raises `Unavailable` when it is not CouchDB's.
    """
    found: _Rows = _decoded(_rows, body)
    return {row.key: bytes(row.doc) for row in found.rows if bytes(row.doc) != b"null"}


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable(
            "the answer is not CouchDB's JSON: is a proxy answering in its place?", cause="not-json"
        ) from None


def failure(  # noqa: PLR0911 - one return for each verdict
    status: int, headers: Mapping[str, str], body: bytes
) -> DatabaseError:
    """The error that an answer other than 200, 201 and 202 means.

    Only CouchDB's own 400 and 413 speak of the documents. The same status with a proxy's page says
    nothing about them, except that a 413 without CouchDB's JSON asks for smaller requests.
    """
    told = _read_failure(body)
    said = explain(told.error, told.reason) if told else "the answer is not CouchDB's JSON"
    message = f"HTTP {status}, {said}"
    match status:
        case 413:
            return RequestTooLarge(message, document_id=_too_large_document(told))
        case 400 if told:
            return RequestRefused(said)
        case 404 if told and told.error == "not_found":
            return DatabaseMissing(message, cause="404")
        case 401 | 403:
            return Misconfigured(message, cause=str(status))
        case 404:
            return Misconfigured(f"{message}: no CouchDB at this address", cause="404")
        case _ if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
            return Misconfigured(f"{message}: a redirect to another address", cause=str(status))
        case _:
            return Unavailable(
                message,
                cause=str(status),
                maybe_written=status != 429,  # noqa: PLR2004 - refused before it was read
                retry_after=retry_after(headers.get("Retry-After", ""), datetime.now(UTC)),
            )


def _read_failure(body: bytes) -> _Failure | None:
    try:
        return _failure.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _too_large_document(told: _Failure | None) -> str | None:
    return told.reason if told and told.error == "document_too_large" else None


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number of seconds or an HTTP date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
