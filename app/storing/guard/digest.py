"""Identifies a record by the digest of its document's bytes, without `updated`.

A record that comes twice comes in the same bytes, since bytes are kept as OpenWhisk wrote them. A
record that was re-encoded, with its keys in another order, is unknown to the guard; the database
then reports a conflict, which is resolved by content (`app.couchdb.comparison`). That is rare, and
normalizing every record would add a tenth to its cost.
"""

import hashlib
import re
from typing import Final

from msgspec import MsgspecError, Raw, Struct, field
from msgspec.json import Decoder

from app.storing.guard.index import DIGEST_SIZE
from models import reserved
from models.documents import DOCUMENT_START


class _Document(Struct, gc=False):
    id: str = field(name="_id")


_decode: Final = Decoder(_Document).decode
_decode_fields: Final = Decoder(dict[str, Raw]).decode
_sha256: Final = hashlib.sha256

_usual_start: Final = re.compile(
    rb'\{"updated":[0-9]{1,19}+,"_id":"[A-Za-z0-9][A-Za-z0-9_@.&-]{0,255}+/[0-9a-f]{32}"'
).match
"""How routing begins a document whose namespace has neither spaces nor slashes."""

_LARGE: Final = 64 * 1024
"""In bytes: the names in a larger document might take hundreds of megabytes."""


def identify(document: bytes) -> tuple[str, bytes]:
    """Return a document's `_id` and the digest of its content.

    Args:
        document: a JSON object with an `_id`, as it is sent to the database.

    Raises:
        ReservedError: an activation's document never looks like this.
        ValueError: it is not a JSON object with a string `_id`.
    """
    try:
        if not document.isascii():
            document.decode()  # msgspec does not check the UTF-8 of what it skips
        document_id = _decode(document).id
    except (MsgspecError, RecursionError):
        document_id = reserved.checked_id(document)  # may be nested too deep for msgspec
    else:
        if not _is_usual(document):
            _check(document, document_id)
    # `updated` differs when the same record comes twice. It ends at the first comma, whatever its
    # value; and there is a comma, because `_id` follows.
    start = document.index(b",") if document.startswith(DOCUMENT_START) else 0
    return document_id, _sha256(document[start:]).digest()[:DIGEST_SIZE]


def _is_usual(document: bytes) -> bool:
    """Whether it begins as routing begins documents, and no further name in it begins with a _.

    Searches for a single character first, which is ten times as fast: most documents have none.
    """
    start = _usual_start(document)
    if start is None:
        return False
    find, end = document.find, start.end()
    return (find(b"_", end) < 0 or find(b'"_', end) < 0) and (
        find(b"\\", end) < 0 or find(b"\\u005", end) < 0  # a _ may be written as \u005f
    )


def _check(document: bytes, document_id: str) -> None:
    if len(document) > _LARGE:
        reserved.checked_id(document)
        return
    try:
        names = _decode_fields(document)
    except MsgspecError:
        reserved.checked_id(document)
    else:
        reserved.check(document_id, names)
