"""Which requests may be writes of activations, judged by method, path and headers alone.

In doubt a request is none and passes through, which is always right. Which documents one that
passes through may change is judged as CouchDB reads it, however it is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class Target:
    """A write into the activations database.

    Attributes:
        document_id: the id in `PUT /<database>/<id>`; None for `POST /<database>/_bulk_docs`.
    """

    document_id: str | None


BULK = Target(None)


class Named(Enum):
    """Where a body names the documents that its request changes; the paths of such requests."""

    ONE = ""
    """`POST /<database>`: the body is a document."""

    DOCS = "_bulk_docs"
    """The documents in its `docs`."""

    NAMES = "_purge"
    """The names of its members."""


_NAMED = {named.value: named for named in Named}


@dataclass(frozen=True, slots=True)
class Change:
    """Which documents a request may change.

    Attributes:
        ids: those that its path or its headers name.
        named: where its body names others, if it does.
        all: whether it may change all: it drops or creates the database, or the gateway does not
            know which it names.
        database: whether it drops or creates the database.
    """

    ids: tuple[str, ...] = ()
    named: Named | None = None
    all: bool = False
    database: bool = False


NOTHING = Change()
ANY = Change(all=True)
ANOTHER_DATABASE = Change(all=True, database=True)

_FUNCTIONS = frozenset({"_rewrite", "_update"})
"""What a design document does with a request may change any document, whatever its method and path
are: `_rewrite` makes another request of it, and the document that `_update` makes has its own id.
"""

READS = frozenset({"GET", "HEAD"})
"""Methods that are not meant to change anything."""

_CHANGES = frozenset({"POST", "PUT", "DELETE", "COPY"})
_OVERRIDES = READS | _CHANGES | {"TRACE", "CONNECT"}
"""What CouchDB takes for a method in `X-HTTP-Method-Override`."""

_CHANGES_MEANING = frozenset({"if-match", "if-none-match", "x-http-method-override"})
"""Headers that make a write more than one of new documents."""

_ONCE = ("authorization", "content-encoding", "content-type", "cookie", "x-auth-couchdb-")
"""What headers begin with of which several are CouchDB's to understand."""

_JSON = "application/json"

_LONGEST_SEGMENT = 8192
"""Characters of a path segment that may name an activation, whose id has at most 289, or 867 when
encoded. By default, CouchDB takes no longer line. Decoding one takes 75 times its size of memory.
"""


def target(method: str, raw_path: str, headers: Mapping[str, str], database: str) -> Target | None:
    """The write that a request may be; None if it should pass through.

    Args:
        method: the HTTP method.
        raw_path: the path as in the request line, still encoded.
        headers: the headers, with case-insensitive names.
        database: the name of the activations database.
    """
    # With a query (`rev`, `new_edits`, `batch`, `w`), it is not a plain write.
    segments = raw_path.split("/")
    if "?" in raw_path or len(segments) != len(("", "database", "id")) or segments[0]:
        return None
    if _decoded(segments[1]) != database or not _plain(headers):
        return None
    content_type = headers.get("Content-Type", "").partition(";")[0]
    if method == "POST" and segments[2] == "_bulk_docs":
        # CouchDB's 415 for anything else keeps web pages out: a browser sends no other site's JSON
        # without asking the server first. So it is checked as strictly as CouchDB checks it.
        return BULK if content_type == _JSON else None
    if method != "PUT" or content_type not in ("", _JSON):
        return None
    document_id = _decoded(segments[2])
    # An encoded slash is part of the id; a bare one would have named an attachment.
    return Target(document_id) if document_id and "/" in document_id else None


def read(method: str, raw_path: str, database: str) -> str | None:
    """The id of the activation that a request reads, if it asks for nothing more."""
    segments = raw_path.split("/")
    if method not in READS or "?" in raw_path or len(segments) != len(("", "database", "id")):
        return None
    if segments[0] or _decoded(segments[1]) != database:
        return None
    document_id = _decoded(segments[2])
    return document_id if document_id and "/" in document_id else None


def change(method: str, raw_path: str, headers: Mapping[str, str], database: str) -> Change:
    """Which documents of the activations database a request may change.

    Args:
        method: the HTTP method.
        raw_path: the path as in the request line, still encoded.
        headers: the headers, with case-insensitive names.
        database: the name of the activations database.
    """
    path = raw_path.partition("?")[0]
    if not path.startswith("/"):
        path = path.partition("://")[2].partition("/")[2]  # the absolute form
    segments = [segment for segment in path.split("/") if segment]  # as CouchDB splits it
    if not segments or _decoded(segments[0]) != database:
        return NOTHING
    document_id = _decoded(segments[1]) if segments[1:] else ""
    if document_id == "_design" and segments[3:] and _decoded(segments[3]) in _FUNCTIONS:
        return ANY
    if method == "POST":
        method = _overridden(headers)
    if method not in _CHANGES:
        return NOTHING
    if method in ("DELETE", "PUT") and not segments[1:]:
        return ANOTHER_DATABASE
    if method == "POST" and not segments[2:] and document_id in _NAMED:
        return Change(named=_NAMED[document_id]) if _may_be_json(headers) else NOTHING
    ids = [document_id]
    if method == "COPY":
        ids.append(_decoded(headers.get("Destination", "").partition("?")[0]))
    return Change(tuple(name for name in ids if name and "/" in name and name[0] != "_"))


def _plain(headers: Mapping[str, str]) -> bool:
    """Whether the headers ask for nothing but a write of what is in the body."""
    encoding = headers.get("Content-Encoding", "identity")
    names = [name.lower() for name, _ in headers.items()]
    return (
        encoding in ("identity", "gzip")
        and not any(name in headers for name in _CHANGES_MEANING)
        and not any(names.count(name) > 1 for name in names if name.startswith(_ONCE))
    )


def _overridden(headers: Mapping[str, str]) -> str:
    """The method of a POST, as CouchDB reads it: it joins several headers, and stops at `;`."""
    given = [value for name, value in headers.items() if name.lower() == "x-http-method-override"]
    override = ", ".join(given).partition(";")[0]
    return override if override in _OVERRIDES else "POST"


def _may_be_json(headers: Mapping[str, str]) -> bool:
    """Whether CouchDB may read a body as JSON; it answers 415 to any other type."""
    types = [value for name, value in headers.items() if name.lower() == "content-type"]
    return any(value.lstrip(";").partition(";")[0] == _JSON for value in types)


def _decoded(segment: str) -> str | None:
    """A path segment as CouchDB reads it: `+` is a space, as OpenWhisk's URLEncoder writes it."""
    if len(segment) > _LONGEST_SEGMENT:
        return None
    try:
        return unquote_plus(segment, errors="strict")
    except UnicodeDecodeError:
        return None
