"""Whether the document in the database is the one that was to be written.

CouchDB keeps integers as they are written, whatever their size, and keeps other numbers as doubles
that it prints again in its own way (`1E2` as `100.0`); the last of two equal keys wins. So numbers
are equal by value, integers exactly; `true` is not 1; the order of keys means nothing.

This stays strict for databases that hold every number as a double, such as PouchDB: two integers
over 2^53 that share a double are different records to CouchDB, and taking them for equal would hide
that. Replaying such a record against PouchDB is reported as divergent.
"""

import json
from decimal import Decimal
from typing import Any, Final

IGNORED: Final = frozenset({"updated", "_rev"})
"""Fields that legitimately differ between two writes of the same record."""

SHOWN_FIELDS = 10
LONGEST_NAME = 64

LONGEST_INT = 4000
"""Digits up to which Python turns text into an `int` (it refuses over 4300)."""


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= LONGEST_INT else Decimal(digits)


_decode = json.JSONDecoder(parse_int=_integer).decode


def difference(ours: bytes, stored: bytes) -> str | None:
    """How two documents differ: the names of top-level fields, never contents.

    Args:
        ours: The document that was to be written.
        stored: The document that the database returned.

    Returns:
        None when they are the same record. Documents nested too deeply to be read, or unreadable,
        count as different: the first one stays and nothing is lost.
    """
    try:
        names = differing_fields(_decode(ours.decode()), _decode(stored.decode()))
    except (ValueError, AttributeError):
        return "the documents cannot be compared"
    except RecursionError:
        return "the documents are nested too deeply to be compared"
    if not names:
        return None
    more = f" and {len(names) - SHOWN_FIELDS} more" if len(names) > SHOWN_FIELDS else ""
    shown = ", ".join(name[:LONGEST_NAME] for name in names[:SHOWN_FIELDS])
    return f"differs from the stored document in: {shown}{more}"


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
