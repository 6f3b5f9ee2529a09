"""What makes two documents the same record: their content, whatever the order of keys."""

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from app.guard.index import DIGEST_SIZE
from models import exact_json
from models.activation import ADDED_FIELDS

# Floats as Decimal and back keep their digits: 0.1 and 0.10 are different bytes, and telling them
# apart costs at most a question to the database, whereas rounding could make two records equal.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def identify(document: bytes) -> tuple[str, bytes]:
    """Return a document's `_id` and the digest of its content.

    Args:
        document: JSON object with an `_id`, as it is sent to the database.

    Raises:
        ValueError: not a JSON object with a string `_id`.
    """
    fields, content = _decoded(document)
    document_id = fields.pop("_id", None) if isinstance(fields, dict) else None
    if not isinstance(document_id, str):
        raise ValueError("not a JSON object with an _id")  # noqa: TRY004 - as json says it
    if content is None:
        # `updated` differs when the same record comes twice.
        for name in ADDED_FIELDS:
            fields.pop(name, None)
        content = _encode(fields)
    return document_id, hashlib.sha256(content).digest()[:DIGEST_SIZE]


def _decoded(document: bytes) -> tuple[Any, bytes | None]:
    """The fields, and the content to digest when it cannot be made canonical.

    Legal JSON that msgspec does not read (lone surrogates, deep nesting) is rare: such a document
    is the same only as its own bytes.
    """
    try:
        return _decode(document), None
    except (msgspec.DecodeError, RecursionError):
        return exact_json.loads(document.decode()), document
