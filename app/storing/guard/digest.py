"""What makes two documents the same record: their bytes, `updated` left out.

A record that comes twice comes in the same bytes: OpenWhisk wrote both, and what it wrote is kept
as it is. Should somebody have written one anew, with its keys in another order, the guard does not
know it, and the database is asked: a conflict is settled by content, whatever the order of keys
(`app.couchdb.comparison`). That is rare, and bringing each record into one form would cost a tenth
of all that is done with it.
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
