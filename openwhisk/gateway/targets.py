"""Which requests may be writes of activations, judged by method, path and headers alone.

In doubt a request is none and passes through, which is always right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class Target:
    """A write into the activations database.

    Attributes:
        document_id: the id in `PUT /<database>/<id>`; None for `POST /<database>/_bulk_docs`.
    """

    document_id: str | None


BULK = Target(None)

_READS = frozenset({"GET", "HEAD"})
_OF_A_DOCUMENT = _READS | {"PUT", "DELETE"}

_CHANGES_MEANING = frozenset({"if-match", "if-none-match", "x-http-method-override"})
"""Headers that make a write more than one of new documents."""

_ONCE = ("authorization", "content-encoding", "content-type", "cookie", "x-auth-couchdb-")
"""What headers begin with of which several are CouchDB's to understand."""

_JSON = "application/json"

_LONGEST_SEGMENT = 8192
"""Characters of a path segment that can name a document: CouchDB takes no longer line. Decoding one
takes 75 times its size of memory.
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


def document(method: str, raw_path: str, database: str) -> str | None:
    """The id of the activation that a request reads, changes or deletes, if it does."""
    path, _, query = raw_path.partition("?")
    segments = path.split("/")
    if method not in _OF_A_DOCUMENT or len(segments) != len(("", "database", "id")):
        return None
    if segments[0] or _decoded(segments[1]) != database:
        return None
    if query and (method in _READS or not query.startswith("rev=")):
        return None
    document_id = _decoded(segments[2])
    return document_id if document_id and "/" in document_id else None


def reads(method: str) -> bool:
    """Whether a method only reads."""
    return method in _READS


def _plain(headers: Mapping[str, str]) -> bool:
    """Whether the headers ask for nothing but a write of what is in the body."""
    encoding = headers.get("Content-Encoding", "identity")
    names = [name.lower() for name, _ in headers.items()]
    return (
        encoding in ("identity", "gzip")
        and not any(name in headers for name in _CHANGES_MEANING)
        and not any(names.count(name) > 1 for name in names if name.startswith(_ONCE))
    )


def _decoded(segment: str) -> str | None:
    """A path segment as CouchDB reads it: `+` is a space, as OpenWhisk's URLEncoder writes it."""
    if len(segment) > _LONGEST_SEGMENT:
        return None
    try:
        return unquote_plus(segment, errors="strict")
    except UnicodeDecodeError:
        return None
