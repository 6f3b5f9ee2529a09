"""Writes decoded JSON as Erlang does: its external term format (`term_to_binary`, minor version 1).

As CouchDB has it in memory: a string is a binary, an object a tuple of a list of pairs.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

ATOMS: Final = {None: b"d\x00\x04null", True: b"d\x00\x04true", False: b"d\x00\x05false"}
NIL: Final = b"j"
"""An empty list, and the end of every other list."""

MEMBER: Final = b"h\x02"
"""How a member of an object begins. A number or a text may have the same bytes in it."""

_BYTE = 0xFF
_LONGEST_STRING = 0xFFFF
_small_integer = struct.Struct(">cB").pack
_integer = struct.Struct(">ci").pack
_float = struct.Struct(">cd").pack
_sized = struct.Struct(">cI").pack

Put = Callable[[bytes], None]
"""Takes the next bytes of the output."""


def are_bytes(values: Sequence[Any]) -> bool:
    """Whether all values are integers that fit a byte."""
    return all(type(value) is int and 0 <= value <= _BYTE for value in values)


def is_string(count: int) -> bool:
    """Whether an array of `count` bytes is encoded as Erlang encodes strings."""
    return 0 < count <= _LONGEST_STRING


def string_of(count: int) -> bytes:
    """The header of an Erlang string of `count` bytes."""
    return struct.pack(">cH", b"k", count)


def binary_of(size: int) -> bytes:
    """The header of a binary of `size` bytes, such as the UTF-8 of a string."""
    return _sized(b"m", size)


def list_of(count: int) -> bytes:
    """The header of a list, whose values are followed by `NIL`."""
    return _sized(b"l", count)


def object_of(count: int) -> bytes:
    """The header of an object, whose members are followed by `NIL`."""
    return b"h\x01" + (_sized(b"l", count) if count else b"")


def put_members(fields: Mapping[str, Any], put: Put) -> None:
    """Write the members of an object."""
    for name, value in fields.items():
        put_name(name, put)
        put_value(value, put)


def put_name(name: str, put: Put) -> None:
    """Write the name of a member and the header of the pair."""
    encoded = name.encode()
    put(MEMBER + _sized(b"m", len(encoded)) + encoded)


def put_values(values: Iterable[Any], put: Put) -> None:
    """Write values, one after the other."""
    for value in values:
        put_value(value, put)


def put_value(value: Any, put: Put) -> None:
    """Write a value."""
    kind = type(value)
    if kind is str:
        encoded = value.encode()
        put(_sized(b"m", len(encoded)) + encoded)
    elif kind is int:
        put(_whole(value))
    elif kind is dict:
        put_object(value, put)
    elif kind is list:
        _put_array(value, put)
    elif kind is float:
        put(_float(b"F", value))
    else:
        put(ATOMS[value])


def put_object(fields: Mapping[str, Any], put: Put) -> None:
    """Write an object."""
    put(object_of(len(fields)))
    for name, value in fields.items():
        encoded = name.encode()
        put(MEMBER + _sized(b"m", len(encoded)) + encoded)
        put_value(value, put)
    put(NIL)


def _put_array(values: list[Any], put: Put) -> None:
    if not values:
        put(NIL)
    elif len(values) <= _LONGEST_STRING and are_bytes(values):
        # To Erlang, a list of bytes is a string.
        put(string_of(len(values)) + bytes(values))
    else:
        put(_sized(b"l", len(values)))
        for value in values:
            put_value(value, put)
        put(NIL)


def _whole(value: int) -> bytes:
    if 0 <= value <= _BYTE:
        return _small_integer(b"a", value)
    if -(2**31) <= value < 2**31:
        return _integer(b"b", value)
    magnitude = abs(value)
    digits = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "little")
    size = bytes((ord("n"), len(digits))) if len(digits) <= _BYTE else _sized(b"o", len(digits))
    return size + bytes((value < 0,)) + digits
