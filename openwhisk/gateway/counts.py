"""Bounds what a body may expand to, before anything of it is decoded.

A kilobyte of gzip may hold a million documents, and a megabyte of JSON half a million values, each
of which costs some fifty bytes and some of the time in which everybody else waits. What OpenWhisk
writes stays far below these bounds; what exceeds them is CouchDB's business.
"""

from contextvars import ContextVar

import msgspec

from models import json_text

MOST_DOCUMENTS = 10_000
"""Most documents of a `_bulk_docs` request; OpenWhisk sends a few hundred."""

MOST_VALUES = 100_000
"""Most values of a document."""

MOST_MEMBERS = 1000
"""Most members of a document's outermost object; OpenWhisk writes a dozen."""

_QUICK_BYTES = 8 * 1024
_QUICK_VALUES = 2000
_QUICK_LENGTH = 1024 * 1024
"""A document of this size takes a few milliseconds."""

_left: ContextVar[int] = ContextVar("left")


class _Entry(msgspec.Struct, gc=False):
    """A document, for which it is only checked that it is an object."""

    def __post_init__(self) -> None:
        left = _left.get()
        if not left:
            raise ValueError
        _left.set(left - 1)


class _Bulk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    docs: list[_Entry]
    new_edits: bool = True


_is_json = msgspec.json.Decoder(msgspec.Raw).decode
_entries = msgspec.json.Decoder(_Bulk).decode


def few_documents(body: bytes | bytearray, most: int = MOST_DOCUMENTS) -> bool:
    """Whether the documents of a `_bulk_docs` body are objects, at most `most` of them.

    Parsing stops at the first document that is not an object or exceeds the limit, and at the first
    field with another name.
    """
    token = _left.set(most)
    try:
        _entries(body)
    except (ValueError, RecursionError):
        return False
    finally:
        _left.reset(token)
    return True


def few_values(document: bytes, most: int = MOST_VALUES) -> bool:
    """Whether a document cannot have more than `most` values."""
    return json_text.value_marks(document) <= most


def few_members(document: bytes, most: int = MOST_MEMBERS) -> bool:
    """Whether a document is an object with at most `most` members.

    Raises:
        msgspec.DecodeError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    if few_values(document, most):
        return True
    _is_json(document)
    if not document.lstrip().startswith(b"{"):
        return False
    return all(number < most for number, _ in enumerate(json_text.members(document)))


def takes_long(document: bytes) -> bool:
    """Whether other requests would notice how long a document takes to handle."""
    return len(document) > _QUICK_BYTES and (
        len(document) > _QUICK_LENGTH or not few_values(document, _QUICK_VALUES)
    )
