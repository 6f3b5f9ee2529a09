"""Tells whether bytes are JSON as OpenWhisk's parser (spray-json 1.3.5) reads it."""

import re
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from models.patterns import compiled
from models.recursion import room_for

MAX_DEPTH: Final = 1000
"""Levels of values (the outermost is the first) that OpenWhisk's parser reads."""

WINDOW: Final = 16 * 1024
"""Bytes that one expression looks at: other threads wait until it is through with them."""

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

_TEXT: Final = rb'"(?:[^"\\]++|\\.)*+"'
_whole_tokens = compiled(rb'(?:[^"]++|' + _TEXT + rb")*+", re.DOTALL).match
_more_of_text = compiled(rb'(?:[^"\\]++|\\.){0,%d}+' % (WINDOW // 2), re.DOTALL).match
_rest_of_empty = re.compile(rb"[ \t\n\r\]}]*+").match
_texts_and_empty = compiled(_TEXT + rb"|" + _EMPTY, re.DOTALL).sub
_surrogates = re.compile(rb"\\u[dD][89a-fA-F]").sub
_SURROGATE: Final = 4
"""Bytes of it that are looked for."""

OPENS, CLOSES = 1, 255
"""Steps of nesting, as bytes; 255 is -1 in an `array("b")`."""

STEPS: Final = bytes(
    OPENS if byte in b"[{" else CLOSES if byte in b"]}" else 0 for byte in range(256)
)
"""The step of each byte."""

_SHALLOW: Final = 512
"""Bytes that are looked at together for their depth: too few to reach `MAX_DEPTH` from the top."""

_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")

_COMMA, _CLOSING = b",]"
_OPENING: Final = (b"[", b"{")


def check(text: bytes) -> None:
    """Look through a whole text that is to be JSON, in a few milliseconds per megabyte.

    Raises:
        ValueError: It is not JSON in UTF-8, or nested too deeply; the message shows no contents.
    """
    wrong = fault(text)
    if wrong is not None:
        raise ValueError(wrong)


def fault(text: bytes) -> str | None:
    """Say why a text does not pass `check`, without any contents; None if it does.

    Takes half the time of catching what `check` raises, where tiny texts come by the million.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    if not text.isascii():
        text.decode()
    if (
        len(text) >= MAX_DEPTH
        and text.count(b"[") + text.count(b"{") >= MAX_DEPTH
        and _is_too_deep(text)
    ):
        return f"nested more than {MAX_DEPTH} levels deep"
    try:
        _validate(text)
    except DecodeError as error:
        if rb"\u" not in text:
            return _without_contents(error)
        try:
            _validate(with_whole_characters(text))
        except DecodeError as still:
            return _without_contents(still)
    return None


_decode: Final = Decoder(Raw).decode


def _validate(text: bytes) -> None:
    try:
        _decode(text)
    except RecursionError:
        with room_for(MAX_DEPTH):
            _decode(text)


def _without_contents(error: DecodeError) -> str:
    return str(error).removeprefix("JSON is malformed: ")


def with_whole_characters(text: bytes) -> bytes:
    r"""A text with another character for each half of a surrogate pair, which msgspec refuses.

    What only looks like one (`\\ud800`) changes, too; the grammar is the same, and so are all
    lengths.
    """
    if rb"\u" not in text:
        return text
    whole = bytearray(text)
    for at in range(0, len(text), WINDOW):
        window = slice(at, at + WINDOW + _SURROGATE - 1)
        # No letter that a name could be made of.
        whole[window] = _surrogates(rb"\\u01", whole[window])
    return bytes(whole)


def _is_too_deep(text: bytes) -> bool:
    at = depth = 0
    while at < len(text):
        end = _after(_whole_tokens, text, at, at + _SHALLOW)
        if end == at:  # a string that is longer
            at = after_text(text, at)
            continue
        # Nothing empty, which is no deeper than a number, must be cut in two.
        end = _after(_rest_of_empty, text, end)
        found = steps(text[at:end], _texts_and_empty)
        opening = found.count(OPENS)
        # Most windows are settled by their number of brackets, in a tenth of the time.
        if depth + opening >= MAX_DEPTH and max(depths(found, depth)) >= MAX_DEPTH:
            return True
        at, depth = end, depth + opening - found.count(CLOSES)
    return False


def steps(text: bytes, without: Callable[[bytes, bytes], bytes]) -> bytes:
    """`OPENS` for each bracket that opens, and `CLOSES` for each that closes.

    Args:
        text: that is to have them.
        without: the `sub` of an expression for what is left out, strings at least.
    """
    return without(b"", text).translate(STEPS, _NO_BRACKETS)


def depths(steps: bytes, depth: int) -> "array[int]":
    """The depth before each of these steps of nesting, and behind the last one.

    Args:
        steps: `OPENS`, `CLOSES`, or 0 for a step that leads nowhere.
        depth: before the first one.
    """
    return array("l", accumulate(array("b", steps), initial=depth))


def after_text(text: bytes, at: int) -> int:
    """The end of the string that begins here, or of a text in which it has none."""
    at += 1
    while (end := _after(_more_of_text, text, at)) > at:
        at = end
    return at + 1


def check_of_any_depth(text: bytes) -> None:
    """As `check`, for any levels of nesting; takes up to a second per megabyte."""
    if not text.isascii():
        text.decode()
    end = _after_value(text, _after(_space, text, 0))
    if _after(_space, text, end) != len(text):
        raise ValueError(f"something follows its end, at byte {end}")


def _after_value(text: bytes, at: int) -> int:
    """The end of the value that begins here; a loop, since Python's stack is not deep enough."""
    closing = bytearray()
    while True:
        if text[at : at + 1] in _OPENING:
            empty = _scalar(text, at)
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


def _after(match: Any, text: bytes, *places: int) -> int:
    found: re.Match[bytes] = match(text, *places)
    return found.end()


def _required(match: Any, text: bytes, at: int) -> int:
    found: re.Match[bytes] | None = match(text, at)
    if found is None:
        raise _error(at)
    return found.end()


def _error(at: int) -> ValueError:
    return ValueError(f"something else is expected at byte {at}")
