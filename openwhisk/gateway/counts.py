"""How much would be built of a body, before anything is built of it.

A kilobyte of gzip may hold a million documents, and a megabyte of JSON half a million values, each
of which costs some fifty bytes and some of the time in which everybody else waits. What OpenWhisk
writes stays far below these bounds; what exceeds them is CouchDB's business.
"""

from contextvars import ContextVar

import msgspec

MOST_DOCUMENTS = 10_000
"""Of a `_bulk_docs` request; OpenWhisk sends a few hundred."""

MOST_VALUES = 100_000
"""Of a document."""

_left: ContextVar[int] = ContextVar("left")


class _Entry(msgspec.Struct, gc=False):
    """A document of which nothing is kept but that it is an object."""

    def __post_init__(self) -> None:
        left = _left.get()
        if not left:
            raise ValueError
        _left.set(left - 1)


class _Bulk(msgspec.Struct, gc=False):
    docs: list[_Entry]


_entries = msgspec.json.Decoder(_Bulk).decode


def few_documents(body: bytes, most: int = MOST_DOCUMENTS) -> bool:
    """Whether the documents of a `_bulk_docs` body are objects and no more than that.

    Reading ends at the first one that is not or is too many.
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
    """Whether a document can't have more values than that: each has a comma or bracket before it.

    Those in strings count too: a bound that takes no parsing.
    """
    return document.count(b",") + document.count(b"[") + document.count(b"{") <= most
