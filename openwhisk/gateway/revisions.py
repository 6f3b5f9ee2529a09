"""Computes the revision that CouchDB gives to a new document.

CouchDB (1.2 to 3.5, `couch_db:new_revid`) names a first revision `1-` and the MD5 of the document's
body in Erlang's external term format (`term_to_binary`, minor version 1). Knowing it in advance,
the gateway answers with the revision that the document will have, so that a client may name it at
once, to write again or to delete.
"""

import hashlib
import json
import math
import re
from array import array
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from models import couchdb_numbers, json_text
from models.patterns import compiled
from openwhisk.gateway import terms
from openwhisk.gateway.outline import PIECE, Container, Part, Text, Values, outlined


def _double(written: str) -> float:
    """Decode a number that is not an integer; msgspec itself takes 10 µs for some (`1e300`).

    Raises:
        ValueError: it is out of a double's range, so that CouchDB refuses it, or so small that
            CouchDB may read another number: `5e-324` as 0.0, `22e-309` as a neighbour.
    """
    number = float(written)
    if not number:
        return number  # -0.0 keeps its sign
    number = couchdb_numbers.double(written)
    if not number:
        raise ValueError("a number is smaller than a normal double")
    if math.isinf(number):
        raise ValueError("a number is beyond the range of doubles")
    return number


_decode = msgspec.json.Decoder(float_hook=_double).decode
_is_json = msgspec.json.Decoder(msgspec.Raw).decode
_string = msgspec.json.Decoder(str).decode

_START: Final = b"\x83" + terms.list_of(5) + terms.ATOMS[False] + b"a\x00a\x00"
"""Not deleted, with revision number 0 and revision 0 before it."""

_END: Final = terms.NIL + terms.NIL
"""No attachments; end of the list."""

_USUAL_VALUE: Final = 64
"""In bytes. A document whose values are shorter is several times as large when it is decoded."""

_string_pieces = compiled(
    # Never splits a character, nor the two halves of a surrogate pair.
    rb"(?:[^\\\x80-\xff]{1,64}|[\xc0-\xff][\x80-\xbf]*+"
    rb"|(?:\\u[dD][89abAB][0-9a-fA-F]{2})?\\u[0-9a-fA-F]{4}|\\[^u]){1,%d}" % (PIECE // 64),
    re.DOTALL,
).finditer

_BUCKET: Final = 256
"""How many names are compared with each other at a time."""


def first_revision(document: bytes) -> str:
    """The revision of a document that is written for the first time.

    Args:
        document: a JSON object; its `_id` is not hashed.

    Raises:
        ValueError: it is not JSON (`msgspec.DecodeError`), has a number that CouchDB refuses, or an
            object in it has a key twice.
        RecursionError: it is nested too deeply.
    """
    if _is_small_decoded(document):
        fields = _decode(document)
        has_id = "_id" in fields
        fields.pop("_id", None)
        parts = [_START]
        terms.put_object(fields, parts.append)
        parts.append(_END)
        written = b"".join(parts)
        # Python leaves a key that comes twice in its first place, and CouchDB in its last.
        if written.count(terms.MEMBER) + has_id != document.count(b'":'):
            _check_names(document)
        return _revision(hashlib.md5(written, usedforsecurity=False))
    _is_json(document)
    return _revision(_Piecewise(document).hash(outlined(document)))


def _check_names(document: bytes) -> None:
    """Raise `ValueError` if an object has a key twice; most documents show at once that none has.

    For those whose number of `":` is not that of their keys: with a text such as `::1`, say.
    """
    json.loads(document, object_pairs_hook=_with_each_name_once, parse_int=str, parse_float=str)


def _with_each_name_once(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) != len(members):
        raise ValueError("a key comes twice")


def _revision(digest: "hashlib._Hash") -> str:
    return f"1-{digest.hexdigest()}"


def _is_small_decoded(document: bytes) -> bool:
    if len(document) <= PIECE:
        return True
    # A Python string takes four bytes for each character if one of them needs that.
    return (
        document.isascii()
        and b"\\u" not in document
        and json_text.value_marks(document) * _USUAL_VALUE <= len(document)
    )


class _Piecewise:
    """Hashes a large document a few kilobytes at a time.

    Args:
        document: text that is known to be JSON.
    """

    def __init__(self, document: bytes) -> None:
        self._document = document
        self._hash = hashlib.md5(_START, usedforsecurity=False)

    def hash(self, outermost: Container) -> "hashlib._Hash":
        """The hash of the whole document."""
        if not outermost.is_object:
            raise ValueError("it is no object")
        self._object(outermost, without="_id")
        self._hash.update(_END)
        return self._hash

    def _object(self, container: Container, without: str | None = None) -> None:
        self._hash.update(terms.object_of(container.count - self._has(without, container)))
        for part in container.parts:
            if isinstance(part, Values):
                fields = self._fields(part)
                fields.pop(without, None)
                self._put(terms.put_members, fields)
            elif (name := _string(part.key)) != without:
                self._put(terms.put_name, name)
                self._large(part)
        self._hash.update(terms.NIL)

    def _has(self, name: str | None, container: Container) -> bool:
        """Whether an object has a member with this name; raises `ValueError` if a name repeats."""
        names = _Names(container.count)
        for part in container.parts:
            names.add(self._fields(part) if isinstance(part, Values) else (_string(part.key),))
        names.check()
        return name in names

    def _array(self, container: Container) -> None:
        parts = container.parts
        if terms.is_string(container.count) and all(map(self._is_bytes, parts)):
            self._hash.update(terms.string_of(container.count))
            for part in parts:
                if isinstance(part, Values):
                    self._hash.update(bytes(self._items(part)))
            return
        self._hash.update(terms.list_of(container.count))
        for part in parts:
            if isinstance(part, Values):
                self._put(terms.put_values, self._items(part))
            else:
                self._large(part)
        self._hash.update(terms.NIL)

    def _is_bytes(self, part: Part) -> bool:
        return isinstance(part, Values) and terms.are_bytes(self._items(part))

    def _large(self, part: Text | Container) -> None:
        if isinstance(part, Text):
            self._text(part)
        elif part.is_object:
            self._object(part)
        else:
            self._array(part)

    def _text(self, part: Text) -> None:
        encoded = bytearray()
        at = part.start + 1
        for piece in _string_pieces(self._document, at, part.end - 1):
            if piece.start() != at:
                break
            at = piece.end()
            encoded += _string(b'"%b"' % piece[0]).encode()
        if at != part.end - 1:
            raise ValueError("a string is not in UTF-8")
        self._hash.update(terms.binary_of(len(encoded)))
        self._hash.update(encoded)

    def _fields(self, part: Values) -> dict[str | None, Any]:
        fields: dict[str | None, Any] = _decode(b"{%b}" % self._document[part.start : part.end])
        if len(fields) != part.number:
            raise ValueError("a key comes twice")
        return fields

    def _items(self, part: Values) -> list[Any]:
        items: list[Any] = _decode(b"[%b]" % self._document[part.start : part.end])
        if len(items) != part.number:
            raise ValueError("nothing but spaces in an array")
        return items

    def _put(self, write: Callable[[Any, terms.Put], None], values: Any) -> None:
        written: list[bytes] = []
        write(values, written.append)
        self._hash.update(b"".join(written))


class _Names:
    """The names of an object's members, of which only hashes are kept.

    Args:
        count: how many names there will be.
    """

    def __init__(self, count: int) -> None:
        # A single set would take ten times the memory.
        self._hashes = [array("q") for _ in range(1 + count // _BUCKET)]

    def add(self, names: Iterable[str | None]) -> None:
        """Add names."""
        for name in names:
            self._bucket(name).append(hash(name))

    def check(self) -> None:
        """Raise `ValueError` if a name was added twice."""
        if any(len(set(hashes)) != len(hashes) for hashes in self._hashes):
            raise ValueError("a key comes twice")

    def __contains__(self, name: str | None) -> bool:
        return hash(name) in self._bucket(name)

    def _bucket(self, name: str | None) -> "array[int]":
        return self._hashes[hash(name) % len(self._hashes)]
