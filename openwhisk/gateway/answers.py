"""Answers in CouchDB's form."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from openwhisk.gateway.credentials import Refusal
from openwhisk.gateway.recent import as_read
from openwhisk.gateway.records import Record

_RETRY_AFTER = "5"
"""In seconds: a client that waits less than a broker takes to restart only adds load."""

NO_ANSWER = 499
"""The status that requests are counted with whose connection was closed; never sent."""

_STATUSES = {"conflict": 409, "forbidden": 403, "unauthorized": 401}
"""The statuses with which CouchDB answers a single write, by the error in a `_bulk_docs` entry."""

_UNCACHED = {"Cache-Control": "must-revalidate"}


_revision = re.compile(r"[1-9][0-9]{0,18}-[0-9a-zA-Z]{1,64}").fullmatch


class Entry(msgspec.Struct):
    """CouchDB's entry for one document: a revision or an error."""

    id: str = ""
    rev: str = ""
    error: str = ""
    reason: msgspec.Raw = msgspec.Raw(b'""')
    """Any JSON value, because validation functions choose it."""

    def is_of(self, document_id: str) -> bool:
        """Whether it says that this document was written."""
        return self.id == document_id and is_revision(self.rev)


_entry = msgspec.json.Decoder(Entry).decode


def entry(text: bytes) -> Entry | None:
    """Parse an entry of a `_bulk_docs` answer; None if it is not CouchDB's."""
    try:
        return _entry(text)
    except (ValueError, RecursionError):
        return None


def is_revision(value: object) -> bool:
    """Whether a value can be a document's revision."""
    return isinstance(value, str) and _revision(value) is not None


def written(record: Record) -> bytes:
    """CouchDB's entry for a document that was written."""
    return msgspec.json.encode({"ok": True, "id": record.id, "rev": record.revision})


def document(text: bytes, database: str, request: web.Request) -> web.Response:
    """The answer to a `PUT` of a document, from its `_bulk_docs` entry."""
    told = _entry(text)
    if told.error:
        status = _STATUSES.get(told.error, 500)
        return _error(status, told.error, told.reason)
    path = f"/{quote(database, safe='')}/{quote(told.id, safe='')}"
    headers = {
        "ETag": f'"{told.rev}"',
        "Location": f"{_origin(request)}{path}",
    }
    return _json(201, text, headers)


def read(record: Record, said: Mapping[str, str]) -> web.Response:
    """The answer to a `GET` or `HEAD` of a document, with what CouchDB said to the client."""
    return _json(200, as_read(record), {"ETag": f'"{record.revision}"', **said})


def bulk(status: int, documents: list[bytes]) -> web.Response:
    """The answer to a `_bulk_docs` request: one entry per document, in order."""
    return _json(status, b"[%b]" % b",".join(documents))


def as_it_came(status: int, body: bytes) -> web.Response:
    """Pass on CouchDB's answer to a part of a request."""
    return _json(status, body)


def refused(refusal: Refusal) -> web.Response:
    """CouchDB's own answer to credentials that it refuses."""
    return _json(refusal.status, refusal.body, refusal.headers)


def elsewhere() -> web.Response:
    """The answer to a request that names another server in `Host`."""
    reason = "not known by the name in Host: name it in GATEWAY_NAMES, or use the address"
    return _error(421, "misdirected_request", reason)


def unreadable_header() -> web.Response:
    """The answer to a request with a header that CouchDB would not get as it came."""
    return _error(400, "bad_request", "a header is not UTF-8")


def many_hops() -> web.Response:
    """The answer to a request whose `Connection` names very many headers."""
    return _error(400, "bad_request", "Connection names too many headers")


def fragment() -> web.Response:
    """The answer to a request whose target has a `#`: it ends there for CouchDB, and not for all.

    RFC 9112 (3.2) allows no fragment.
    """
    return _error(400, "bad_request", "the request target has a fragment (#)")


def too_large() -> web.Response:
    """The answer to a body over the limit, like CouchDB's for `max_http_request_size`."""
    return _error(413, "too_large", "the request entity is too large")


def no_answer(reason: str) -> web.Response:
    """The answer to a request that only CouchDB can handle, while it is away."""
    return _error(502, "bad_gateway", reason, {"Retry-After": _RETRY_AFTER})


def none(request: web.Request) -> web.Response:
    """Close the connection instead of answering.

    OpenWhisk's client never repeats a request that was answered, whatever the status, but it
    repeats one whose connection broke.

    Returns:
        A response that the server then fails to send; its status is only used for counting.
    """
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=NO_ANSWER)


def _origin(request: web.Request) -> str:
    """Scheme and host by which a client knows this server, as CouchDB reads what proxies say."""
    given = request.headers
    secure = given.get("X-Forwarded-Ssl") == "on" or given.get("X-Forwarded-Proto") == "https"
    scheme = "https" if secure else request.scheme
    return f"{scheme}://{given.get('X-Forwarded-Host', request.host)}"


def _error(
    status: int, error: str, reason: Any, headers: dict[str, str] | None = None
) -> web.Response:
    return _json(status, msgspec.json.encode({"error": error, "reason": reason}), headers)


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=body if body.endswith(b"\n") else body + b"\n",  # as CouchDB ends its own
        content_type="application/json",
        headers={**_UNCACHED, **(headers or {})},
    )
