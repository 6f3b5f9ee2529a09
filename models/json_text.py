"""Finds values in JSON as bytes, by the rules of OpenWhisk's parser (spray-json 1.3.5).

Nothing is built of what is only passed over, so that no text costs more than a small share of its
size, however it is made: a megabyte of `[],[],…` decoded would be twenty. Nor is it looked at piece
by piece in Python: a microsecond for each `"":0,` is a fifth of a second for a megabyte. So regular
expressions pass over as many pieces as there are of what does not matter, and over at most `WINDOW`
bytes in one go, since other threads wait meanwhile. Whoever needs a whole text decoded takes
`models.exact_json`.

All functions take bytes that `models.json_grammar` has accepted. Places are `(start, end)`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import DecodeError
from msgspec.json import Decoder

from models.json_grammar import CLOSES, OPENS, STEPS, WINDOW, after_text, depths, steps
from models.patterns import compiled

MAX_NUMBER_LENGTH: Final = 100
"""Characters of a number that OpenWhisk's parser reads."""

_LEVELS: Final = 64
"""Of nesting that an expression passes over by itself: what is deeper is long enough for a little
work in Python.
"""

_SHORTEST_WINDOW: Final = 128

_LONGEST_REMEMBERED: Final = 200
"""Bytes of an encoded key that may be kept: whoever writes records makes up any number of them."""

_Run: TypeAlias = Callable[[bytes, int, int], re.Match[bytes] | None]

_SPACE: Final = rb"[ \t\n\r]*+"
_REST: Final = rb'(?:[^"\\]++|\\.)*+"'
_TEXT: Final = b'"' + _REST
_PLAIN: Final = rb'[^ \t\n\r,\]}"\[{]++'


def _nested(levels: int) -> bytes:
    inner = rb'[^"\[\]{}]++|' + _TEXT
    if levels > 1:
        inner += b"|" + _nested(levels - 1)
    return rb"[\[{](?:" + inner + rb")*+[\]}]"


_VALUE: Final = rb"(?:" + _TEXT + rb"|" + _PLAIN + rb"|" + _nested(_LEVELS) + rb")"

# What follows an item or a member, so that none that is cut by a window's end passes for a whole.
_NEXT: Final = _SPACE + rb"(?:," + _SPACE + rb"|(?=[\]}]))"

_decode_text: Final = Decoder(str).decode
_space = re.compile(_SPACE).match
_end_of_plain = re.compile(_PLAIN).match
_not_deep = compiled(_nested(_LEVELS), re.DOTALL).match
_whole_tokens = compiled(rb'(?:[^"]++|' + _TEXT + rb")*+", re.DOTALL).match
_texts = compiled(_TEXT, re.DOTALL).sub
_brackets = compiled(rb'(?:[^"\[\]{}]++|' + _TEXT + rb")*+[\[\]{}]", re.DOTALL).finditer
_short_numbers = compiled(
    rb'(?:[^"0-9-]++|%b|[0-9-][0-9.eE+-]{0,%d}+(?=[^0-9.eE+-]))*+' % (_TEXT, MAX_NUMBER_LENGTH - 1),
    re.DOTALL,
).match
_end_of_number = re.compile(rb"[0-9.eE+-]++").match

_QUOTE, _BACKSLASH, _COMMA, _CLOSING = b'"\\,]'
_BRACKETS: Final = b"[{"
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


def members(text: bytes, start: int = 0) -> Iterator[Member]:
    """The members of the object that begins here, in order, equal keys and all.

    Takes a microsecond or two for each: where only some matter, see `Names`.
    """
    at = _first(text, start)
    while text[at] == _QUOTE:
        member = _member(text, at, _skipped)
        yield member
        at = _after_comma(text, member.end)


def _member(text: bytes, at: int, after: Callable[[bytes, int], int]) -> Member:
    key_end = after_text(text, at)
    value = _after(_space, text, _after(_space, text, key_end) + 1)
    return Member(at, key_end, value, after(text, value))


class Names:
    """Names of members that matter, in objects that may have any number of others.

    Args:
        names: the names, in ASCII.
        prefix: a character; whatever begins with it matters, too.
    """

    def __init__(self, names: Iterable[str], prefix: str = "") -> None:
        self._plain = {b'"%b"' % name.encode(): name for name in names}
        wanted = [(ord(name[0]), _spelled(name[1:]) + b'"') for name in self._plain.values()]
        if prefix:
            wanted.append((ord(prefix), _REST))
        # Alternatives that begin with different characters are the faster.
        plain = b"|".join(b"%c%b" % one for one in wanted)
        escaped = b"|".join(rb"(?i:%04x)%b" % one for one in wanted)
        name = rb'"(?:%b|\\u(?:%b))' % (plain, escaped)
        colon = _SPACE + rb":" + _SPACE
        self._member: _Run = compiled(
            # The others, up to the next one that matters, if there is one in the window.
            (rb"(?:(?!%b)" % name) + _TEXT + colon + _VALUE + _NEXT + rb")*+"
            rb"(?:(" + name + rb")" + colon + rb"(" + _VALUE + rb")" + _NEXT + rb")?",
            re.DOTALL,
        ).match
        self._is_wanted = compiled(name, re.DOTALL).fullmatch

    def members(self, text: bytes, start: int = 0) -> Iterator[tuple[str, int, int, int, int]]:
        """Name and places of those of the object that begins here, in order, equal names and all.

        The places are those of a `Member`; there may be millions of them.
        """
        at = _first(text, start)
        plain = self._plain.get
        while text[at] == _QUOTE:
            found = self._member(text, at, at + WINDOW)
            assert found is not None  # noqa: S101 - it matches nothing at all, too
            end = found.end()
            if found.lastindex:
                key = found[1]
                yield plain(key) or _decoded(key), *found.span(1), *found.span(2)
            elif end == at:  # it is longer than the window, or nested deeply
                member = _member(text, at, _after_long)
                if self._is_wanted(text, member.key_start, member.key_end):
                    yield name(text, member), *member
                end = member.end
            at = _after_comma(text, end)


def _decoded(key: bytes) -> str:
    return _remembered(key) if len(key) <= _LONGEST_REMEMBERED else string(key, 0, len(key))


@lru_cache(maxsize=4096)
def _remembered(key: bytes) -> str:
    return string(key, 0, len(key))


def _spelled(text: str) -> bytes:
    """Matches a text, whichever of its characters are escaped."""
    return b"".join(rb"(?:%c|\\u(?i:%04x))" % (ord(one), ord(one)) for one in text)


def _run_of(item: bytes) -> _Run:
    """Matches as many items of this form as there are."""
    return compiled(rb"(?:" + item + _NEXT + rb")*+", re.DOTALL).match


_texts_in_a_row = _run_of(_TEXT)
_values_in_a_row = _run_of(_VALUE)


def holds_texts_only(text: bytes, start: int) -> bool:
    """Whether all items of the array that begins here are strings."""
    at = _first(text, start)
    while text[at] == _QUOTE:
        end = _after(_texts_in_a_row, text, at, at + WINDOW)
        at = _after_comma(text, end if end > at else after_text(text, at))
    return text[at] == _CLOSING


def items(text: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
    """The places of an array's items, in order."""
    at = _first(text, start)
    while text[at] != _CLOSING:
        end = _skipped(text, at)
        yield at, end
        at = _after_comma(text, end)


def parts(text: bytes, start: int) -> Iterator[bytes]:
    """The items of the array that begins here as shorter arrays, in order.

    So that they can be decoded without taking up much memory at a time; but one item can be large.
    """
    at = _first(text, start)
    while text[at] != _CLOSING:
        end = _after(_values_in_a_row, text, at, at + WINDOW)
        if end == at:
            end = _after_long(text, at)
        yield b"[%b]" % text[at:end].rstrip(b" \t\n\r,")
        at = _after_comma(text, end)


def _first(text: bytes, start: int) -> int:
    """Where the first item or member is, or the end."""
    return _after(_space, text, _after(_space, text, start) + 1)


def _after(match: Any, text: bytes, *places: int) -> int:
    found: re.Match[bytes] = match(text, *places)
    return found.end()


def _after_comma(text: bytes, at: int) -> int:
    at = _after(_space, text, at)
    return _after(_space, text, at + 1) if text[at] == _COMMA else at


def _skipped(text: bytes, at: int) -> int:
    """The end of a value."""
    if text[at] in _BRACKETS:
        found = _not_deep(text, at, at + WINDOW)
        if found:
            return found.end()
    return _after_long(text, at)


def _after_long(text: bytes, at: int) -> int:
    """The end of a value that is not likely to be short and plain."""
    if text[at] == _QUOTE:
        return after_text(text, at)
    if text[at] not in _BRACKETS:
        return _after(_end_of_plain, text, at)
    start, at, depth = at, at + 1, 1
    while True:
        window = min(max(_SHORTEST_WINDOW, (at - start) // 4), WINDOW)
        end = at + window
        plain = _QUOTE not in text[at:end]
        if plain:
            # All that is not a bracket is a step of 0, so a step's number is its place.
            found = text[at:end].translate(STEPS)
        else:
            end = _after(_whole_tokens, text, at, end)
            if end == at:  # a string that is longer
                at = after_text(text, at)
                continue
            found = steps(text[at:end], _texts)
        closing = found.count(CLOSES)
        if closing >= depth:
            reached = depths(found, depth)
            if 0 in reached:
                number = reached.index(0)
                if plain:
                    return at + number
                return next(islice(_brackets(text, at), number - 1, None)).end()
        at, depth = end, depth + found.count(OPENS) - closing


def name(text: bytes, member: Member) -> str:
    """The key of a member."""
    return string(text, member.key_start, member.key_end)


def string(text: bytes, start: int, end: int) -> str:
    """A string; half a surrogate pair is kept.

    It takes little beside the string itself. One character beyond the basic plane makes that four
    bytes for each of its characters, and so it would every other copy.
    """
    within = memoryview(text)
    if text.find(_BACKSLASH, start, end) < 0:
        return str(within[start + 1 : end - 1], "utf-8")
    try:
        return _decode_text(within[start:end])
    except DecodeError:  # half a pair, for one
        decoded: str = json.loads(str(within[start:end], "utf-8", "surrogatepass"))
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
    at = 0
    while at < len(text):
        end = _after(_short_numbers, text, at, at + WINDOW)
        if end == at and text[at] == _QUOTE:
            end = after_text(text, at)
        elif end == at:
            end = _after(_end_of_number, text, at)
            if end - at > MAX_NUMBER_LENGTH:
                return True
        at = end
    return False
