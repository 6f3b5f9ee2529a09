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

_SHORT = 4096
"""Bytes of a document that takes at most two milliseconds, whatever it holds."""

_QUICK = 48 * 1024
"""Most bytes of a document that takes at most four milliseconds, if they are the cheapest ones."""

_VALUE = 64
_ESCAPE = 4
"""How many more bytes could be handled in the time that a value takes, or an escape in a text."""

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


Document = bytes | bytearray | memoryview

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


def takes_long(document: Document) -> bool:
    """Whether others would notice it if a document were handled in the event loop.

    A bound that takes no parsing, for what is dearest: everything is counted as if it came in a
    record that the persister's routing cannot read in its quick way.
    """
    size = len(document)
    if size <= _SHORT:
        return False
    if size > _QUICK:
        return True
    text = bytes(document)
    return size + _ESCAPE * text.count(b"\\") + _VALUE * json_text.value_marks(text) > _QUICK
