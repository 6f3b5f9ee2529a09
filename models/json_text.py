"""Scans JSON as bytes, by the rules of OpenWhisk's parser (spray-json 1.3.5).

Nothing is built of what is only passed over, so that no text costs more than a small share of its
size, however it is made: a megabyte of `[],[],…` decoded would be twenty. Whoever needs a whole
text decoded takes `models.exact_json`.

All functions but `check` take bytes that `check` has accepted. Places are `(start, end)`.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from models.patterns import compiled

MAX_DEPTH: Final = 1000
"""Levels of values (the outermost is the first) that OpenWhisk's parser reads."""

MAX_NUMBER_LENGTH: Final = 100
"""Characters of a number that OpenWhisk's parser reads."""

_SPACE: Final = rb"[ \t\n\r]*+"
_STRING: Final = rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"
_EMPTY: Final = rb"\[" + _SPACE + rb"\]|\{" + _SPACE + rb"\}"
_SCALAR: Final = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null|" + _EMPTY + rb")"

_space = re.compile(_SPACE).match
_key = compiled(_STRING + _SPACE + rb":" + _SPACE).match
_scalar = compiled(_SCALAR).match
# As many as there are of what holds nothing else, with the commas behind.
_scalar_items = compiled(rb"(?:" + _SCALAR + _SPACE + rb"," + _SPACE + rb")*+").match
_scalar_members = compiled(
    rb"(?:" + _STRING + _SPACE + rb":" + _SPACE + _SCALAR + _SPACE + rb"," + _SPACE + rb")*+"
).match
_end_of_string = compiled(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL).match
_brackets = compiled(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL).finditer
_end_of_plain = re.compile(rb"[^\s,\]}]++").match
_numbers = compiled(rb'"(?:[^"\\]++|\\.)*+"|(-?[0-9][0-9.eE+-]*+)', re.DOTALL).finditer

_QUOTE, _BACKSLASH, _COMMA, _CLOSING = b'"\\,]'
_BRACKETS: Final = b"[{"
_OPENING: Final = (b"[", b"{")
_AS_DIGITS: Final = bytes(48 if byte in b"0123456789+-.eE" else 32 for byte in range(256))
_TOO_LONG: Final = b"0" * (MAX_NUMBER_LENGTH + 1)


class Member(NamedTuple):
    """A member of an object, by its places."""

    key_start: int
    key_end: int
    start: int
    end: int


def value_marks(text: bytes) -> int:
    """How many values a text may have but for the first: one of these marks is before each.

    Those in strings count too; it is a bound that takes no parsing.
    """
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def check(text: bytes, deepest: int = MAX_DEPTH) -> None:
    """Look through a whole text.

    Args:
        text: That is to be JSON.
        deepest: Levels of values that it may have.

    Raises:
        ValueError: It is not JSON in UTF-8, or nested too deeply; the message shows no contents.
    """
    if not text.isascii():
        text.decode()
    end = _after_value(text, _after(_space, text, 0), deepest)
    if _after(_space, text, end) != len(text):
        raise ValueError(f"something follows its end, at byte {end}")


def _after_value(text: bytes, at: int, deepest: int) -> int:
    """The end of the value that begins here; a loop, since Python's stack is not deep enough."""
    closing: list[int] = []
    while True:
        if text[at : at + 1] in _OPENING:
            empty = _scalar(text, at)
            if len(closing) >= deepest - (not empty):
                raise ValueError(f"nested more than {deepest} levels deep")
            if not empty:
                closing.append(text[at] + 2)  # in ASCII
                at = _next_value(text, _after(_space, text, at + 1), closing[-1])
                continue
            at = empty.end()
        else:
            at = _required(_scalar, text, at)
        while closing:
            at = _after(_space, text, at)
            following = text[at] if at < len(text) else 0
            if following == _COMMA:
                at = _next_value(text, _after(_space, text, at + 1), closing[-1])
                break
            if following != closing.pop():
                raise _error(at)
            at += 1
        else:
            return at


def _next_value(text: bytes, at: int, closing: int) -> int:
    """Where the next value begins: in an object behind its key, and behind all that is plain."""
    if closing == _CLOSING:
        return _after(_scalar_items, text, at)
    return _required(_key, text, _after(_scalar_members, text, at))


def _after(match: Any, text: bytes, at: int) -> int:
    found: re.Match[bytes] = match(text, at)
    return found.end()


def _required(match: Any, text: bytes, at: int) -> int:
    found: re.Match[bytes] | None = match(text, at)
    if found is None:
        raise _error(at)
    return found.end()


def _error(at: int) -> ValueError:
    return ValueError(f"something else is expected at byte {at}")


def members(text: bytes, start: int = 0) -> Iterator[Member]:
    """The members of the object that begins here, in order, equal keys and all."""
    at = _after(_space, text, _after(_space, text, start) + 1)
    while text[at] == _QUOTE:
        key_end = _after(_end_of_string, text, at)
        value = _after(_space, text, _after(_space, text, key_end) + 1)
        end = _skipped(text, value)
        yield Member(at, key_end, value, end)
        at = _after_comma(text, end)


def items(text: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
    """The places of an array's items, in order."""
    at = _after(_space, text, _after(_space, text, start) + 1)
    while text[at] != _CLOSING:
        end = _skipped(text, at)
        yield at, end
        at = _after_comma(text, end)


def _after_comma(text: bytes, at: int) -> int:
    at = _after(_space, text, at)
    return _after(_space, text, at + 1) if text[at] == _COMMA else at


def _skipped(text: bytes, at: int) -> int:
    """The end of a value."""
    if text[at] == _QUOTE:
        return _after(_end_of_string, text, at)
    if text[at] not in _BRACKETS:
        return _after(_end_of_plain, text, at)
    depth = 0
    for token in _brackets(text, at):
        first = text[token.start()]
        if first != _QUOTE:
            depth += 1 if first in _BRACKETS else -1
            if not depth:
                return token.end()
    raise _error(at)


def name(text: bytes, member: Member) -> str:
    """The key of a member."""
    return string(text, member.key_start, member.key_end)


def string(text: bytes, start: int, end: int) -> str:
    """A string; half a surrogate pair is kept."""
    written = text[start + 1 : end - 1]
    if _BACKSLASH not in written:
        return written.decode()
    decoded: str = json.loads(text[start:end])
    return decoded


def shallow(text: bytes, start: int, end: int) -> Any:
    """A value as `exact_json` decodes it; of an array or an object only an empty one."""
    first = text[start]
    if first == _QUOTE:
        return string(text, start, end)
    if first in _BRACKETS:
        return [] if first == _BRACKETS[0] else {}
    written = text[start:end]
    if written in _LITERALS:
        return _LITERALS[written]
    try:
        return Decimal(written.decode()) if len(written) <= MAX_NUMBER_LENGTH else _BEYOND
    except InvalidOperation:  # an exponent of twenty digits
        return _BEYOND


_BEYOND: Final = Decimal("Infinity")
"""Stands for a number that nothing here or elsewhere takes."""

_LITERALS: Final = {b"true": True, b"false": False, b"null": None}


def has_long_number(text: bytes) -> bool:
    """Whether a JSON text holds a number of more characters than OpenWhisk's parser takes."""
    if _TOO_LONG not in text.translate(_AS_DIGITS):
        return False
    return any(
        match.end(1) - match.start(1) > MAX_NUMBER_LENGTH for match in _numbers(text) if match[1]
    )
