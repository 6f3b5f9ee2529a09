"""What makes two documents the same record: their content, whatever the order of keys.

The content is brought into one form, sorted by keys at every depth and without what the persister
adds, and hashed. The usual document is read into structs that have their fields in that order
already; any other one into dictionaries, which are sorted. Both give the same bytes.
"""

import hashlib
from decimal import Decimal
from typing import Any

from msgspec import UNSET, DecodeError, Struct, UnsetType, field
from msgspec.json import Decoder, Encoder

from app.guard.index import DIGEST_SIZE
from models import exact_json
from models.activation import ADDED_FIELDS


class _Annotation(Struct, gc=False, forbid_unknown_fields=True):
    key: str
    value: Any


class _Response(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    result: Any = UNSET
    size: Any = UNSET
    status_code: Any = UNSET


class _Usual(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    """A document with no more than the fields that OpenWhisk writes today, in the order of keys."""

    id: str = field(name="_id")
    activation_id: Any = UNSET
    annotations: list[_Annotation] | UnsetType = UNSET
    cause: Any = UNSET
    duration: Any = UNSET
    end: Any = UNSET
    entity_type: Any = UNSET
    logs: Any = UNSET
    name: Any = UNSET
    namespace: Any = UNSET
    publish: Any = UNSET
    response: _Response | UnsetType = UNSET
    start: Any = UNSET
    subject: Any = UNSET
    updated: Any = UNSET
    version: Any = UNSET


# Floats as Decimal and back keep their digits: 0.1 and 0.10 are different bytes, and telling them
# apart costs at most a question to the database, whereas rounding could make two records equal.
_decode_usual = Decoder(_Usual, float_hook=Decimal).decode
_decode_any = Decoder(float_hook=Decimal).decode
_encoder = Encoder(order="deterministic", decimal_format="number")  # structs: as declared
_encode, _encode_into = _encoder.encode, _encoder.encode_into
_content = bytearray()
"""Of the usual document at hand: one for all, since there is one thread that stores."""

_sha256 = hashlib.sha256
_LEFT_OUT: Any = UNSET


def identify(document: bytes) -> tuple[str, bytes]:
    """Return a document's `_id` and the digest of its content.

    Args:
        document: JSON object with an `_id`, as it is sent to the database.

    Raises:
        ValueError: not a JSON object with a string `_id`.
    """
    try:
        usual = _decode_usual(document)
    except (DecodeError, RecursionError):
        document_id, content = _any(document)
    else:
        document_id, content = usual.id, _content
        # `updated` differs when the same record comes twice.
        usual.id = usual.entity_type = usual.updated = _LEFT_OUT
        _encode_into(usual, _content)
    return document_id, _sha256(content).digest()[:DIGEST_SIZE]


def _any(document: bytes) -> tuple[str, bytes | bytearray]:
    """The `_id` and the content of any document."""
    fields, content = _decoded(document)
    document_id = fields.pop("_id", None) if isinstance(fields, dict) else None
    if not isinstance(document_id, str):
        raise ValueError("not a JSON object with an _id")  # noqa: TRY004 - as json says it
    if content is None:
        for name in ADDED_FIELDS:
            fields.pop(name, None)
        content = _encode(fields)
    return document_id, content


def _decoded(document: bytes) -> tuple[Any, bytes | None]:
    """The fields, and the content to digest when it cannot be made canonical.

    Legal JSON that msgspec does not read (lone surrogates, deep nesting) is rare: such a document
    is the same only as its own bytes.
    """
    try:
        return _decode_any(document), None
    except (DecodeError, RecursionError):
        return exact_json.loads(document.decode()), document
