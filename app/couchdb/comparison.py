"""Compares a document with the one that the database holds.

CouchDB keeps integers of any size exactly, stores other numbers as doubles and prints them in its
own form (`1E2` as `100.0`), and keeps the last of two equal keys. So numbers are compared by value,
integers exactly; `true` is not 1; key order does not matter. CouchDB reads some numbers below the
smallest normal double (2.2e-308) as 0.0 (`5e-324`) and others with a small error (`22e-309`), so
all of them count as 0.0 here.

The comparison stays strict for databases that hold every number as a double, such as PouchDB: two
integers over 2^53 that share a double are different records to CouchDB. Replaying such a record
against PouchDB is therefore reported as divergent.
"""

import json
import re
import sys
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from app.process.printable import shown

IGNORED: Final = frozenset({"updated", "_rev"})
"""Fields that may differ between two writes of the same record."""

SHOWN_FIELDS = 10
LONGEST_NAME = 64

LONGEST_INT = 4000
"""Digits up to which Python turns text into an `int` (it refuses over 4300)."""


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= LONGEST_INT else Decimal(digits)


def _double(text: str) -> float:
    value = float(text)
    return value if abs(value) >= sys.float_info.min else 0.0


MOST_VALUES = 500_000
"""Of a document that is taken apart: each takes some seventy bytes, a record may be `[],[],…`."""

_decode = json.JSONDecoder(parse_int=_integer, parse_float=_double).decode


_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Same(Enum):
    """Two documents are of the same record."""

    EQUAL = "equal"
    OURS_HAS_LOGS = "ours has logs"
    """They differ only in `logs`, and those of the stored one are empty."""

    STORED_HAS_LOGS = "stored has logs"
    """The other way round."""


def compare(ours: bytes, stored: bytes) -> Same | str:
    """Whether two documents are the same record, or how they differ.

    OpenWhisk acknowledges an activation before its logs are collected, with all of the record but
    them: where it keeps logs inside the record, it writes both, in any order.

    Args:
        ours: The document that was to be written.
        stored: The document that the database returned.

    Returns:
        The names of differing top-level fields, never contents. Documents nested too deeply to be
        read, or unreadable, count as different: the first one stays and nothing is lost.
    """
    try:
        one, other = _read(ours, stored)
        names = differing_fields(one, other)
    except (ValueError, AttributeError):
        return "the documents cannot be compared"
    except RecursionError:
        return "the documents are nested too deeply to be compared"
    if not names:
        return Same.EQUAL
    if names == ["logs"] and [] in (one.get("logs"), other.get("logs")):
        ours_has = bool(one.get("logs")) and other.get("logs") == []
        if ours_has or (bool(other.get("logs")) and one.get("logs") == []):
            return Same.OURS_HAS_LOGS if ours_has else Same.STORED_HAS_LOGS
    more = f" and {len(names) - SHOWN_FIELDS} more" if len(names) > SHOWN_FIELDS else ""
    shown_names = ", ".join(shown(name, longest=LONGEST_NAME) for name in names[:SHOWN_FIELDS])
    return f"differs from the stored document in: {shown_names}{more}"


def _read(ours: bytes, stored: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of two documents; of those with too many values, each field as it is written.

    CouchDB writes most of what OpenWhisk does as it came. What it writes in another way counts as
    different then, and nothing is lost.
    """
    both = (ours, stored)
    if any(sum(map(one.count, (b",", b"[", b"{"))) > MOST_VALUES for one in both):
        return _written(ours), _written(stored)
    return _decode(ours.decode()), _decode(stored.decode())


def _written(document: bytes) -> dict[str, Any]:
    fields = {name: bytes(value) for name, value in _raw(document).items()}
    return {name: [] if value == b"[]" else value for name, value in fields.items()}


_REVISION = re.compile(rb'\{"_rev":"[^"]*",')


def with_revision(ours: bytes, stored: bytes) -> bytes:
    """Our document as an update of the stored one."""
    revision = json.loads(stored)["_rev"]
    plain = _REVISION.sub(b"{", ours, count=1) if ours.startswith(b'{"_rev":') else ours
    return b'{"_rev":' + json.dumps(revision).encode() + b"," + plain.lstrip()[1:]


def differing_fields(ours: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    """The top-level fields, sorted, that only one has or whose values differ."""
    return sorted(
        name
        for name in (ours.keys() | stored.keys()) - IGNORED
        if name not in ours or name not in stored or not same(ours[name], stored[name])
    )


def same(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are equal, as the module's docstring says."""
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
