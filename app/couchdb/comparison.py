"""Compares a document with the one that the database holds.

CouchDB keeps integers of any size exactly, stores other numbers as doubles and prints them in its
own form (`1E2` as `100.0`), and keeps the last of two equal keys. So numbers are compared by value,
integers exactly and others as `models.couchdb_numbers` says; `true` is not 1; key order does not
matter.

The comparison stays strict for databases that hold every number as a double, such as PouchDB: two
integers over 2^53 that share a double are different records to CouchDB. Replaying such a record
against PouchDB is therefore reported as divergent.
"""

import json
import re
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from itertools import islice, zip_longest
from typing import Any, Final

import msgspec

from app.process.printable import shown
from models import couchdb_numbers, json_grammar, json_text
from models.patterns import compiled

IGNORED: Final = frozenset({"updated", "_rev"})
"""Fields that may differ between two writes of the same record."""

SHOWN_FIELDS = 10
LONGEST_NAME = 64

MOST_VALUES = 100_000
"""Most values in both documents together to decode: each takes a hundred bytes, however short it is
written. Larger documents are compared piece by piece without decoding them.
"""

MOST_FIELDS = 1000
"""Most top-level fields of such a document; an activation has fourteen."""

LONGEST_INT = 4000
"""Most digits of an integer to convert to `int` (Python refuses more than 4300)."""


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= LONGEST_INT else Decimal(digits)


_decode = json.JSONDecoder(parse_int=_integer, parse_float=couchdb_numbers.double).decode


class Same(Enum):
    """Two documents have the same record."""

    EQUAL = "equal"
    OURS_HAS_LOGS = "ours has logs"
    """They differ only in `logs`, which are empty in the stored one."""

    STORED_HAS_LOGS = "stored has logs"
    """They differ only in `logs`, which are empty in ours."""


def compare(ours: bytes, stored: bytes) -> Same | str:
    """Whether two documents are the same record, or how they differ.

    OpenWhisk acknowledges an activation before its logs are collected, with a record that lacks
    only them. If it keeps logs inside records, it sends both versions, in any order.

    Args:
        ours: the document that should have been written.
        stored: the document that the database returned.

    Returns:
        A `Same` if they are the same record; otherwise the names of differing top-level fields,
        never contents. Unreadable documents count as different, so that the first one stays and
        nothing is lost. So do documents with keys in another order if they are too large
        (`is_large`) or too deeply nested to be decoded.
    """
    try:
        one, other, names = _differing(ours, stored)
    except (ValueError, AttributeError):
        return "the documents cannot be compared"
    if not names:
        return Same.EQUAL
    if names == ["logs"] and [] in (one.get("logs"), other.get("logs")):
        ours_has = bool(one.get("logs")) and other.get("logs") == []
        if ours_has or (bool(other.get("logs")) and one.get("logs") == []):
            return Same.OURS_HAS_LOGS if ours_has else Same.STORED_HAS_LOGS
    more = f" and {len(names) - SHOWN_FIELDS} more" if len(names) > SHOWN_FIELDS else ""
    shown_names = ", ".join(shown(name, longest=LONGEST_NAME) for name in names[:SHOWN_FIELDS])
    return f"differs from the stored document in: {shown_names}{more}"


def _differing(ours: bytes, stored: bytes) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    if not is_large(ours, stored):
        with suppress(RecursionError):
            one, other = _decoded(ours), _decoded(stored)
            return one, other, differing_fields(one, other)
    one, other = _pieces(ours), _pieces(stored)
    return one, other, differing_fields(one, other)


def is_large(ours: bytes, stored: bytes) -> bool:
    """Whether to compare documents piece by piece, which is slow and should be done in a thread."""
    return json_text.value_marks(ours) + json_text.value_marks(stored) > MOST_VALUES


class _Piece(bytes):
    """A JSON value that is not decoded."""

    __slots__ = ()


def _decoded(document: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = _decode(document.decode())
    return fields


_read_pieces = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _pieces(document: bytes) -> dict[str, Any]:
    """The top-level fields without decoding them, except for empty arrays."""
    if document.count(b":") > MOST_VALUES:
        # They may all be top-level fields, each of which would take memory. Counting them takes
        # only time.
        json_grammar.check(document)
        top = sum(1 for _ in islice(json_text.members(document), MOST_FIELDS + 1))
        if top > MOST_FIELDS:
            raise ValueError("too many fields")
    try:
        texts = {name: _Piece(value) for name, value in _read_pieces(document).items()}
    except RecursionError:
        json_grammar.check_of_any_depth(document)
        texts = {
            json_text.name(document, one): _Piece(document[one.start : one.end])
            for one in json_text.members(document)
        }
    return {name: [] if text == b"[]" else text for name, text in texts.items()}


_tokens = compiled(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},:]|[^\s\[\]{},:"]++', re.DOTALL).finditer


def _same_pieces(one: bytes, other: bytes) -> bool:
    """Whether two values are equal with their keys in the same order, which CouchDB keeps."""
    if one == other:
        return True
    pairs = zip_longest(_tokens(one), _tokens(other))
    return all(
        a is not None and b is not None and (a[0] == b[0] or _same_scalars(a[0], b[0]))
        for a, b in pairs
    )


def _same_scalars(one: bytes, other: bytes) -> bool:
    scalars = not {one[:1], other[:1]} & _STRUCTURE
    return scalars and same(_decode(one.decode()), _decode(other.decode()))


_STRUCTURE = {b"[", b"]", b"{", b"}", b",", b":"}

_REVISION = re.compile(rb'\{"_rev":"[^"]*",')


def with_revision(ours: bytes, stored: bytes) -> bytes:
    """Our document with the stored one's revision, as an update of it."""
    revision = bytes(_pieces(stored)["_rev"])
    plain = _REVISION.sub(b"{", ours, count=1) if ours.startswith(b'{"_rev":') else ours
    return b'{"_rev":' + revision + b"," + plain.lstrip()[1:]


def differing_fields(ours: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """The sorted names of top-level fields that only one has, or whose values differ."""
    return sorted(
        name
        for name in (ours.keys() | stored.keys()) - IGNORED
        if name not in ours or name not in stored or not same(ours[name], stored[name])
    )


def same(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are equal by the rules of this module."""
    if isinstance(one, _Piece) and isinstance(other, _Piece):
        return _same_pieces(one, other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)
