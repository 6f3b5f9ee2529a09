"""From CouchDB documents to records on Kafka, without I/O.

A document is taken only if it is sure to be stored later: it is a new activation under the id that
OpenWhisk gives it, the persister's own routing would store it, and CouchDB would not refuse it.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from app.routing import Store, route
from app.settings import RoutingSettings, StoreLevel
from models.roles import TopicRole
from openwhisk.gateway.counts import few_values

RULES = RoutingSettings(
    blocking_store_level=StoreLevel.STORE_ALWAYS,
    non_blocking_store_level=StoreLevel.STORE_ALWAYS,
    excluded_namespaces=frozenset(),
)
"""OpenWhisk has decided already: it writes to its store only what is to be stored."""

_UNREADABLE = (KeyError, ValueError, RecursionError)
"""What reading raises; msgspec's and Unicode's errors are `ValueError`s."""

_anything = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_documents = msgspec.json.Decoder(list[Raw]).decode
_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Record:
    """An activation that is taken.

    Attributes:
        id: of the document.
        message: the `ResultMessage` for Kafka.
        revision: what the answer calls its revision; equal records have equal ones.
    """

    id: str
    message: bytes
    revision: str


class Taking:
    """Decides about documents.

    Args:
        role: in which the persister reads the topic.
        max_bytes: of the largest document that is taken.
    """

    def __init__(self, role: TopicRole, max_bytes: int) -> None:
        self._role = role
        self._max_bytes = max_bytes

    def take(self, document: bytes, now: int, path_id: str | None = None) -> Record | None:
        """The record in a document; None if the document is CouchDB's business.

        Args:
            document: JSON as it came.
            now: epoch millis.
            path_id: the id in the request's path; it counts where the document names none.
        """
        if len(document) > self._max_bytes or not few_values(document):
            return None
        try:
            # CouchDB answers 400 to half a surrogate pair, to a number that is no double, to
            # invalid UTF-8: what msgspec does not read either goes there and gets its answer.
            _anything(document)
            document_id, fields = _activation(document, path_id)
        except _UNREADABLE:
            return None
        record = _encode(fields)
        message = result_message(record, now)
        if not isinstance(route(self._role, message, now, RULES), Store):
            return None
        return Record(document_id, message, revision(record))


class _NotNewError(ValueError):
    """Something else than a new activation under its own id."""


def _activation(document: bytes, path_id: str | None) -> tuple[str, dict[str, Raw]]:
    """The id of a document and the fields of the record in it; raises one of `_UNREADABLE`."""
    fields = _fields(document)
    document_id = _string(fields.pop("_id")) if path_id is None else path_id
    if "_id" in fields and _string(fields.pop("_id")) != path_id:
        raise _NotNewError
    if _string(fields.pop("entityType")) != "activation":
        raise _NotNewError
    fields.pop("updated", None)
    if document_id != f"{_string(fields['namespace'])}/{_string(fields['activationId'])}":
        raise _NotNewError
    # `_rev`, `_deleted`, `_attachments` say more than "new"; a namespace may begin with `_`, but
    # CouchDB reserves such ids.
    if document_id.startswith("_") or any(name.startswith("_") for name in fields):
        raise _NotNewError
    return document_id, fields


def result_message(record: bytes, now: int) -> bytes:
    """OpenWhisk's `ResultMessage` for a record.

    HTTP carries no transaction id, so it is one of OpenWhisk's system ids (`sid_...`). Its third
    element, `extraLogging`, says that the store level does not apply any more.
    """
    return b'{"transid":["sid_gateway",%d,true],"response":%b}' % (now, record)


def revision(record: bytes) -> str:
    """A first revision in CouchDB's form, made of the record's content."""
    return f"1-{hashlib.md5(record, usedforsecurity=False).hexdigest()}"


def bulk_documents(body: bytes) -> list[bytes] | None:
    """The documents of a `_bulk_docs` body; None if it is more than a plain write, or broken."""
    try:
        fields = _fields(body)
        new_edits = fields.pop("new_edits", None)
        if set(fields) != {"docs"} or (new_edits is not None and bytes(new_edits) != b"true"):
            return None
        return [bytes(document) for document in _documents(fields["docs"])]
    except _UNREADABLE:
        return None


def bulk_body(documents: Sequence[bytes]) -> bytes:
    """The body of a `_bulk_docs` request."""
    return b'{"docs":[%b]}' % b",".join(documents)


def without_repeated(
    documents: Sequence[bytes], records: Sequence[Record | None]
) -> list[Record | None]:
    """Leave to CouchDB every id that a request names more than once: it answers in order."""
    ids = [
        record.id if record else _document_id(document)
        for document, record in zip(documents, records, strict=True)
    ]
    count = Counter(ids)
    return [record if record and count[record.id] == 1 else None for record in records]


def _document_id(document: bytes) -> str | None:
    try:
        return _string(_fields(document)["_id"])
    except _UNREADABLE:
        return None
