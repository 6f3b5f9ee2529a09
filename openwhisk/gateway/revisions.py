"""Computes the revision that CouchDB gives to a new document.

CouchDB (1.2 to 3.5, `couch_db:new_revid`) names a first revision `1-` and the MD5 of the document's
body in Erlang's external term format (`term_to_binary`, minor version 1). Knowing it in advance,
the gateway answers with the revision that the document will have, so that a client may use it at
once: to read by revision, to write again, to delete.
"""

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from models import couchdb_numbers


def _double(written: str) -> float:
    """A number that is no integer; msgspec's own way takes ten microseconds for some (`1e300`).

    Raises:
        ValueError: it is beyond the range of doubles, so that CouchDB refuses it, or so small that
            CouchDB may read it as another one: `5e-324` as 0.0, `22e-309` as a neighbour.
    """
    number = float(written)
    if not number:
        return number  # -0.0 stays what it is
    number = couchdb_numbers.double(written)
    if not number:
        raise ValueError("a number is smaller than a normal double")
    if math.isinf(number):
        raise ValueError("a number is beyond the range of doubles")
    return number


_decode = msgspec.json.Decoder(float_hook=_double).decode

_ATOMS = {None: b"d\x00\x04null", True: b"d\x00\x04true", False: b"d\x00\x05false"}
_NIL = b"j"
_START = b"\x83l\x00\x00\x00\x05" + _ATOMS[False] + b"a\x00a\x00"
"""Not deleted, after revision 0 of number 0."""

_END = _NIL + _NIL
"""No attachments; end of the list."""

_BYTE = 0xFF
_LONGEST_STRING = 0xFFFF
_small_integer = struct.Struct(">cB").pack
_integer = struct.Struct(">ci").pack
_float = struct.Struct(">cd").pack
_sized = struct.Struct(">cI").pack


def first_revision(document: bytes) -> str:
    """The revision of a document that is written for the first time.

    Args:
        document: a JSON object; `_id` is not part of what is hashed.

    Raises:
        ValueError: it is not JSON (`msgspec.DecodeError`), or has a number that CouchDB refuses.
        RecursionError: it is nested too deeply.
    """
    fields = _decode(document)
    fields.pop("_id", None)
    parts = [_START]
    _object(fields, parts.append)
    parts.append(_END)
    return f"1-{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}"


def _object(fields: dict[str, Any], put: Callable[[bytes], None]) -> None:
    if not fields:
        put(b"h\x01" + _NIL)
        return
    put(b"h\x01" + _sized(b"l", len(fields)))
    for name, value in fields.items():
        encoded = name.encode()
        put(b"h\x02" + _sized(b"m", len(encoded)) + encoded)
        _value(value, put)
    put(_NIL)


def _value(value: Any, put: Callable[[bytes], None]) -> None:
    kind = type(value)
    if kind is str:
        encoded = value.encode()
        put(_sized(b"m", len(encoded)) + encoded)
    elif kind is int:
        put(_whole(value))
    elif kind is dict:
        _object(value, put)
    elif kind is list:
        _array(value, put)
    elif kind is float:
        put(_float(b"F", value))
    else:
        put(_ATOMS[value])


def _array(values: list[Any], put: Callable[[bytes], None]) -> None:
    if not values:
        put(_NIL)
    elif len(values) <= _LONGEST_STRING and all(
        type(value) is int and 0 <= value <= _BYTE for value in values
    ):
        # Erlang has no strings of its own: a list of bytes is one.
        put(struct.pack(">cH", b"k", len(values)) + bytes(values))
    else:
        put(_sized(b"l", len(values)))
        for value in values:
            _value(value, put)
        put(_NIL)


def _whole(value: int) -> bytes:
    if 0 <= value <= _BYTE:
        return _small_integer(b"a", value)
    if -(2**31) <= value < 2**31:
        return _integer(b"b", value)
    magnitude = abs(value)
    digits = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "little")
    size = bytes((ord("n"), len(digits))) if len(digits) <= _BYTE else _sized(b"o", len(digits))
    return size + bytes((value < 0,)) + digits
