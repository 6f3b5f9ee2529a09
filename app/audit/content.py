"""Compares a stored document with the one that was sent.

CouchDB keeps integers exactly, stores other numbers as doubles and prints them in its own form
(`1E2` as `100.0`), subnormal ones as 0.0 or nearly so. So integers are compared exactly and other
numbers as doubles (`models.couchdb_numbers`); key order and string escapes do not matter. It is the
same rule as in `app.couchdb.comparison`.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from models import couchdb_numbers, exact_json, json_text
from models.json_grammar import MAX_DEPTH
from models.patterns import compiled

DIGEST_SIZE: Final = 16

MOST_VALUES: Final = 200_000
"""Of a text that is decoded: each takes some hundred bytes, however short it is written."""

_MORE_OF_DOCUMENTS: Final = 1000
"""Values that a document may have more: the fields that were added to the record."""

_NOT_COMPARED: Final = frozenset({"_id", "_rev", "updated"})
"""The id is what it is looked up by; the others differ between two writes of the same record."""

_LARGE: Final = re.compile(rb"[0-9]{16}")
"""Where it does not match, no integer is over 2^53."""

_LONGEST_INT: Final = 4000
"""Digits up to which Python prints an `int` (it refuses over 4300)."""


_SHORT: Final = 1e21
"""From here on nobody writes a double as an integer, which would be up to 309 digits."""


class _Named(msgspec.Struct, gc=False):
    """A document of which nothing is built but its id."""

    id: str = msgspec.field(name="_id")


_named: Final = msgspec.json.Decoder(_Named).decode
# Strings that follow one another are one match, and a string without an end is one, too.
_marks: Final = compiled(rb'(?:"(?:[^"\\]++|\\.?)*+"?)++|([,\[{])', re.DOTALL).finditer


class Content(NamedTuple):
    """A document's content as digests."""

    digest: bytes
    rounded: bytes
    """The same with every integer as a double, as databases in JavaScript keep them."""

    bare: bytes | None = None
    """The same without `logs`: OpenWhisk may send a record before it has them, and then again."""


NOT_COMPARED: Final = Content(b"not compared", b"not compared")
"""Of a record with too many values: all that is looked for is a document under its id."""


def many_values(text: bytes, most: int = MOST_VALUES) -> bool:
    """Whether a JSON text has more values than are decoded."""
    if json_text.value_marks(text) <= most:
        return False
    outside_of_strings = (mark for mark in _marks(text) if mark[1])
    return next(islice(outside_of_strings, most, None), None) is not None


def content(fields: Mapping[str, Any], written: bytes) -> Content:
    """The content of fields that were read by `exact_json` from this JSON text."""
    compared = {name: value for name, value in fields.items() if name not in _NOT_COMPARED}
    digest = _digest(compared, _exact)
    rounded = _digest(compared, _double) if _LARGE.search(written) else digest
    compared.pop("logs", None)
    return Content(digest, rounded, _digest(compared, _exact))


def document_content(document: bytes) -> tuple[str, Content]:
    """The `_id` and the content of a document; raises `ValueError` when it is none.

    The content is `NOT_COMPARED` where there are too many values.
    """
    if many_values(document, MOST_VALUES + _MORE_OF_DOCUMENTS):
        try:
            return _named(document).id, NOT_COMPARED
        except RecursionError:
            raise ValueError("nested too deeply") from None
    fields = exact_json.loads(document.decode())
    document_id = fields.get("_id") if isinstance(fields, dict) else None
    if not isinstance(document_id, str):
        raise ValueError("not a JSON object with an _id")  # noqa: TRY004 - as json says it
    document_id.encode()  # half a surrogate pair is in no document that CouchDB has or waits for
    return document_id, content(fields, document)


def differing(expected: Mapping[str, Any], stored: bytes) -> list[str]:
    """The names of the top-level fields in which a stored document differs from what it must be.

    None are told where there are too many values.
    """
    if many_values(stored, MOST_VALUES + _MORE_OF_DOCUMENTS):
        return []
    found = exact_json.loads(stored.decode())
    return sorted(_unequal(expected, found, (expected.keys() | found.keys()) - _NOT_COMPARED))


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any], names: set[str]) -> Iterable[str]:
    for name in names:
        both = name in one and name in other
        if not both or _digest(one[name], _exact) != _digest(other[name], _exact):
            yield name


def _digest(value: Any, number: Callable[[Decimal], Any]) -> bytes:
    return hashlib.sha256(_canonical(value, number).encode()).digest()[:DIGEST_SIZE]


def _canonical(value: Any, number: Callable[[Decimal], Any]) -> str:
    try:
        return json.dumps(value, sort_keys=True, default=number)
    except RecursionError:
        limit = sys.getrecursionlimit()
        # As deep as `exact_json` reads, whatever the depth of the stack here.
        sys.setrecursionlimit(limit + 3 * MAX_DEPTH)
        try:
            return json.dumps(value, sort_keys=True, default=number)
        finally:
            sys.setrecursionlimit(limit)


def _exact(number: Decimal) -> int | float | str:
    _, digits, exponent = number.as_tuple()
    if exponent != 0 or isinstance(number, exact_json.Exponential):
        return _double(number)
    return int(number) if len(digits) <= _LONGEST_INT else f"{number}"


def _double(number: Decimal) -> int | float:
    if isinstance(number, exact_json.Exponential):
        double = couchdb_numbers.double(number.text)
    else:
        double = float(number)
    if abs(double) < sys.float_info.min:
        return 0  # as CouchDB reads some of them, and all of them are compared
    return int(double) if double.is_integer() and abs(double) < _SHORT else double
