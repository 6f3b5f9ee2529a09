"""Turns CouchDB documents into Kafka records. Pure.

A document is accepted only if it is certain to be stored later, as it is: it is a new activation
under the id that OpenWhisk gives it, the persister's routing would store it unchanged, and CouchDB
would not refuse it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from app.routing import Candidate, route
from models.modes import StoreLevel
from models.roles import TopicRole
from openwhisk.gateway.counts import few_members, few_values
from openwhisk.gateway.revisions import first_revision


@dataclass(frozen=True)
class _EverythingIsStored:
    blocking_store_level: StoreLevel = StoreLevel.STORE_ALWAYS
    non_blocking_store_level: StoreLevel = StoreLevel.STORE_ALWAYS
    excluded_namespaces: frozenset[str] = frozenset()


RULES = _EverythingIsStored()
"""Everything is stored, because OpenWhisk has applied its own rules before it writes to its store.
"""

_CLOCKS_AGREE = 600_000
"""Milliseconds by which OpenWhisk's clock and the gateway's may differ, including the time that a
batch waits.
"""

_LONGEST_NAME = 1024
"""Characters of a field's name. OpenWhisk's have fourteen at most. Each step that reads a record
makes four bytes of each, if one of them is beyond the basic plane.
"""

_NOTHING = Raw(b"")

_UNREADABLE = (KeyError, ValueError, RecursionError)
"""Errors from reading; msgspec's and Unicode's errors are `ValueError`s."""


class _Bulk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    docs: list[Raw]
    new_edits: bool = True


class _Named(msgspec.Struct, gc=False):
    """A document of which only the id is decoded."""

    id: Raw = msgspec.field(name="_id", default=_NOTHING)


_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_bulk = msgspec.json.Decoder(_Bulk).decode
_named = msgspec.json.Decoder(_Named).decode
_string = msgspec.json.Decoder(str).decode
_integer = msgspec.json.Decoder(int).decode
_encode = msgspec.json.Encoder().encode


class Record(msgspec.Struct, frozen=True, gc=False):
    """An activation that the gateway accepts.

    Python's cycle collector passes it over: there are tens of thousands, and looking at each of
    them takes it tens of milliseconds in which nobody is served.

    Attributes:
        id: the document's id.
        message: the `ResultMessage` for Kafka.
        updated: the timestamp of the record on Kafka, in epoch millis.
        document: the document that the persister makes of the two.
        revision: the revision that the document will have.
    """

    id: str
    message: bytes
    updated: int
    document: bytes
    revision: str


class Taking:
    """Decides which documents the gateway accepts.

    Args:
        role: the role in which the persister reads the topic.
        max_bytes: size of the largest document to accept.
        look_at_logs: called with the `logs` of each accepted record, as JSON.
    """

    def __init__(
        self, role: TopicRole, max_bytes: int, look_at_logs: Callable[[bytes], None]
    ) -> None:
        self._role = role
        self.max_bytes = max_bytes
        self._look_at_logs = look_at_logs

    def take(self, document: bytes, now: int, path_id: str | None = None) -> Record | None:
        """The record in a document; None if the document should go to CouchDB.

        Args:
            document: the JSON as received.
            now: epoch millis.
            path_id: the id in the request's path, which counts if the document has none.
        """
        if len(document) > self.max_bytes or not few_values(document):
            return None
        try:
            document_id, fields = _activation(document, path_id)
            updated = _updated(fields.pop("updated"), now)
            message = result_message(_encode(fields), now)
            routed = route(self._role, message, updated, RULES)
            if not isinstance(routed, Candidate) or _id(routed) != document_id:
                return None  # routing leaves the empty names of a namespace out of the id
            # CouchDB answers 400 to half a surrogate pair, a number out of a double's range, or
            # invalid UTF-8. msgspec cannot read these either, so they go to CouchDB for its answer.
            revision = first_revision(routed.document)
        except _UNREADABLE:
            return None
        self._look_at_logs(bytes(fields["logs"]))
        return Record(document_id, message, updated, routed.document, revision)


class _NotNewError(ValueError):
    """The document is not a new activation under its own id."""


def _activation(document: bytes, path_id: str | None) -> tuple[str, dict[str, Raw]]:
    """The id of a document and the fields of the record in it; raises one of `_UNREADABLE`."""
    if not few_members(document):
        raise _NotNewError
    fields = _fields(document)
    if any(len(name) > _LONGEST_NAME for name in fields):
        raise _NotNewError
    document_id = _string(fields.pop("_id")) if path_id is None else path_id
    if "_id" in fields and _string(fields.pop("_id")) != path_id:
        raise _NotNewError
    if _string(fields.pop("entityType")) != "activation":
        raise _NotNewError
    if document_id != f"{_string(fields['namespace'])}/{_string(fields['activationId'])}":
        raise _NotNewError
    # With `_rev`, `_deleted` or `_attachments` it is not simply new. A namespace may begin with
    # `_`, but CouchDB reserves such ids.
    if document_id.startswith("_") or any(name.startswith("_") for name in fields):
        raise _NotNewError
    # The persister would make millis of a text.
    if any(bytes(fields.get(name, _NOTHING)).startswith(b'"') for name in ("start", "end")):
        raise _NotNewError
    return document_id, fields


def _id(routed: Candidate) -> str:
    """The id that a record's document has."""
    return f"{routed.namespace}/{routed.activation_id}"


def _updated(given: Raw, now: int) -> int:
    """OpenWhisk's own `updated`, so that the document is what OpenWhisk would have stored.

    It becomes the timestamp of the record on Kafka, by which retention is computed, so a wrong
    clock must not be able to shorten that.
    """
    updated = _integer(given)
    return updated if abs(updated - now) <= _CLOCKS_AGREE else now


def result_message(record: bytes, now: int) -> bytes:
    """OpenWhisk's `ResultMessage` for a record.

    HTTP requests have no transaction id, so it gets one like OpenWhisk's system ids (`sid_...`).
    Its third element, `extraLogging`, makes the store level not apply again.
    """
    return b'{"transid":["sid_gateway",%d,true],"response":%b}' % (now, record)


def bulk_documents(body: bytes | bytearray) -> list[bytes] | None:
    """The documents of a `_bulk_docs` body; None if it is more than a plain write, or broken."""
    try:
        bulk = _bulk(body)
    except _UNREADABLE:
        return None
    return [bytes(document) for document in bulk.docs] if bulk.new_edits else None


def bulk_body(documents: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The body of a `_bulk_docs` request in parts, because joining large ones takes a while."""
    separator = b'{"docs":['
    for document in documents:
        yield separator
        yield document
        separator = b","
    yield b"]}" if documents else b'{"docs":[]}'


def without_repeated(
    ids: Sequence[str | None], records: Sequence[Record | None]
) -> list[Record | None]:
    """Leave ids that a request names more than once to CouchDB, which handles them in order.

    Args:
        ids: the ids in the documents, if any.
        records: the accepted records, in the same order.
    """
    count = Counter(ids)
    return [record if record and count[record.id] == 1 else None for record in records]


def id_of(document: bytes | memoryview) -> str | None:
    """The `_id` in a document, if any: the last one counts, and none that is no text.

    Raises:
        ValueError: it is not JSON, or the id cannot be read.
        RecursionError: it is nested too deeply.
    """
    document_id = _named(document).id
    return _string(document_id) if bytes(document_id).startswith(b'"') else None
