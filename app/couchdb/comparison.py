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
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from functools import cached_property
from itertools import starmap, zip_longest
from typing import Any, Final, NamedTuple

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

FIELDS_TOGETHER = 1000
"""Top-level fields of such a document that are held at a time, more or less; an activation has
fourteen.
"""

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


class Stored:
    """A document that the database returned, decoded once for all that are compared with it.

    Args:
        body: the document as JSON.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.value_marks = json_text.value_marks(body)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The decoded document."""
        return _decoded(self.body)


def compare(ours: bytes, stored: Stored) -> Same | str:
    """Whether two documents are the same record, or how they differ.

    OpenWhisk acknowledges an activation before its logs are collected, with a record that lacks
    only them. If it keeps logs inside records, it sends both versions, in any order.

    Args:
        ours: the document that should have been written.
        stored: the document that the database returned.

    Returns:
        A `Same` if they are the same record; otherwise the names of differing top-level fields,
        never contents. Unreadable documents count as different, so that the first one stays and
        nothing is lost. So do documents whose nested objects have their keys in another order, or
        one of them twice, if they are too large (`is_large`) or too deeply nested to be decoded.
    """
    try:
        found = _difference(ours, stored)
    except (ValueError, AttributeError):
        return "the documents cannot be compared"
    if not found.number:
        return Same.EQUAL
    if found.names == ["logs"] and [] in found.logs and any(map(_is_filled, found.logs)):
        return Same.OURS_HAS_LOGS if found.logs[1] == [] else Same.STORED_HAS_LOGS
    more = f" and {found.number - SHOWN_FIELDS} more" if found.number > SHOWN_FIELDS else ""
    shown_names = ", ".join(shown(name, longest=LONGEST_NAME) for name in found.names)
    return f"differs from the stored document in: {shown_names}{more}"


class _Difference(NamedTuple):
    """How two documents differ."""

    number: int
    """Of top-level fields that do."""
    names: list[str]
    """The first few of them, sorted."""
    logs: tuple[Any, Any]
    """The `logs` of both; None where there are none."""


def _difference(ours: bytes, stored: Stored) -> _Difference:
    if not is_large(ours, stored):
        with suppress(RecursionError):
            return _of_groups([_decoded(ours)], [stored.fields])
    groups = max(ours.count(b":"), stored.body.count(b":")) // FIELDS_TOGETHER + 1
    return _of_groups(_pieces(ours, groups), _pieces(stored.body, groups))


def _of_groups(ours: Iterable[dict[str, Any]], stored: Iterable[dict[str, Any]]) -> _Difference:
    number, names, logs = 0, list[str](), (None, None)
    for one, other in zip(ours, stored, strict=True):
        differing = differing_fields(one, other)
        number += len(differing)
        names = sorted(names + differing)[:SHOWN_FIELDS]
        if "logs" in one or "logs" in other:
            logs = one.get("logs"), other.get("logs")
    return _Difference(number, names, logs)


def is_large(ours: bytes, stored: Stored) -> bool:
    """Whether to compare documents piece by piece, which is slow and should be done in a thread."""
    return json_text.value_marks(ours) + stored.value_marks > MOST_VALUES


class _Piece(bytes):
    """A JSON value that is not decoded."""

    __slots__ = ()


def _decoded(document: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = _decode(document.decode())
    return fields


def _pieces(document: bytes, groups: int) -> Iterator[dict[str, Any]]:
    """The top-level fields in so many groups, not decoded, except for empty arrays.

    Each field by itself takes up to thirty times its size of memory, so that only one group exists
    at a time. Fields of the same name are in the same group, of which the last one counts.

    Raises:
        ValueError: the document is no JSON object.
    """
    try:
        json_grammar.check(document)
    except ValueError:
        json_grammar.check_of_any_depth(document)
    if not document.lstrip().startswith(b"{"):
        raise ValueError("not an object")
    places = [array("I") for _ in range(groups)]
    for member in json_text.members(document):
        # Nobody can choose names of one group: Python salts the hash of a string.
        places[hash(json_text.name(document, member)) % groups].extend(member)
    for group in places:
        yield {
            json_text.name(document, member): _piece(document[member.start : member.end])
            for member in starmap(json_text.Member, zip(*[iter(group)] * 4, strict=True))
        }


_empty_array = re.compile(rb"\[\s*\]").fullmatch


def _piece(value: bytes) -> Any:
    return [] if _empty_array(value) else _Piece(value)


def _is_filled(logs: Any) -> bool:
    """Whether it is an array that is not empty, decoded or not."""
    if isinstance(logs, _Piece):
        return logs.startswith(b"[")  # an empty one is never a piece
    return isinstance(logs, list) and bool(logs)


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
