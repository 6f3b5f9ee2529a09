"""Identifies a record by the digest of its document's bytes, without `updated`.

A record that comes twice comes in the same bytes, since bytes are kept as OpenWhisk wrote them. A
record that was re-encoded, with its keys in another order, is unknown to the guard; the database
then reports a conflict, which is resolved by content (`app.couchdb.comparison`). That is rare, and
normalizing every record would add a tenth to its cost.
"""

import hashlib
from typing import Any

from msgspec import MsgspecError, Struct, field
from msgspec.json import Decoder

from app.storing.guard.index import DIGEST_SIZE
from models import json_text
from models.documents import DOCUMENT_START


class _Document(Struct, gc=False):
    id: str = field(name="_id")


_decode = Decoder(_Document).decode
_sha256 = hashlib.sha256


def identify(document: bytes) -> tuple[str, bytes]:
    """Return a document's `_id` and the digest of its content.

    Args:
        document: JSON object with an `_id`, as it is sent to the database.

    Raises:
        ValueError: not a JSON object with a string `_id`.
    """
    try:
        if not document.isascii():
            document.decode()  # msgspec checks no UTF-8 in what it passes over
        document_id = _decode(document).id
    except (MsgspecError, RecursionError):
        document_id = _any_id(document)
    # `updated` differs when the same record comes twice. Whatever stands there, what is before the
    # first comma is of its value; and there is a comma, since there is an `_id` as well.
    start = document.index(b",") if document.startswith(DOCUMENT_START) else 0
    return document_id, _sha256(document[start:]).digest()[:DIGEST_SIZE]


def _any_id(document: bytes) -> str:
    """The same of JSON that msgspec does not read, such as deep nesting."""
    json_text.check(document)
    document_id: Any = None
    if document.lstrip().startswith(b"{"):
        for member in json_text.members(document):
            if json_text.name(document, member) == "_id":
                document_id = json_text.shallow(document, member.start, member.end)
    if not isinstance(document_id, str):
        raise ValueError("not a JSON object with an _id")  # noqa: TRY004 - as json says it
    return document_id
