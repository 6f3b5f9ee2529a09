"""Says where the parts of a large JSON document lie, so that it is read a few kilobytes at a time.

Decoded in one go, a megabyte of `{"a":1},{"a":1},…` would be thirty. Of what is small, only how
many values lie side by side is kept. One pass, however deep the document is.
"""

import re
from typing import Final, NamedTuple

from models.patterns import compiled

PIECE: Final = 4096
"""Size in bytes below which nothing is divided."""

_LONGEST_KEY: Final = 64 * 1024

_tokens = compiled(rb'"(?:[^"\\]++|\\.)*+"|[\[{\]},]', re.DOTALL).finditer
_is_key = re.compile(rb"[ \t\n\r]*+:").match
_AROUND_A_KEY: Final = b" \t\n\r:"

_QUOTE, _COMMA, _BRACE = b'",{'
_OPENING: Final = b"[{"


class Values(NamedTuple):
    """Consecutive small items of an array, or members of an object.

    Attributes:
        start: position of the first.
        end: position after the last, without a comma.
        number: how many there are.
    """

    start: int
    end: int
    number: int


class Text(NamedTuple):
    """A long string.

    Attributes:
        key: the key of its member, as written; empty in an array.
        start: position of its first quote.
        end: position after its last quote.
    """

    key: bytes
    start: int
    end: int


class Container:
    """A large array or object.

    Attributes:
        key: the key of its member, as written; empty in an array.
        start: position of its bracket.
        is_object: whether it is an object, not an array.
        count: the number of its items or members.
        parts: its parts, in order.
    """

    __slots__ = ("_first", "_open", "count", "is_object", "item", "key", "parts", "start")

    def __init__(self, start: int, *, is_object: bool) -> None:
        self.key = b""
        self.start = start
        self.is_object = is_object
        self.count = 0
        self.parts: list[Part] = []
        self.item = start + 1
        """Where the current item begins."""
        self._first = start + 1
        """Where the current run of small items begins."""
        self._open = 0
        """How many items the run has, without the current one."""

    def begins_large(self) -> None:
        """Make the current item a part of its own."""
        if self._open:
            self.parts.append(Values(self._first, self.item - 1, self._open))
        self._open = -1

    def comma(self, at: int) -> None:
        """End the current item, because another one follows."""
        self.count += 1
        self._open += 1
        self.item = at + 1
        if not self._open:
            self._first = at + 1
        elif at - self._first > PIECE:
            self.parts.append(Values(self._first, at, self._open))
            self._first, self._open = at + 1, 0

    def end(self, at: int) -> bool:
        """End the container at this bracket; returns whether it is large."""
        if at - self.start < PIECE:
            return False
        self.count += 1
        self._open += 1
        if self._open:
            self.parts.append(Values(self._first, at, self._open))
        return True


Part = Values | Text | Container


def outlined(document: bytes) -> Container:
    """Outline the outermost object or array of a large text that is known to be JSON.

    Raises:
        ValueError: it is small, or has a key of tens of kilobytes.
    """
    inner = outermost = Container(-1, is_object=False)
    around: list[Container] = []
    for token in _tokens(document):
        at = token.start()
        first = document[at]
        if first in _OPENING:
            around.append(inner)
            inner = Container(at, is_object=first == _BRACE)
        elif first == _COMMA:
            inner.comma(at)
        elif first != _QUOTE:
            ended, inner = inner, around.pop()
            if ended.end(at):
                inner.begins_large()
                ended.key = _key(document, inner.item, ended.start)
                inner.parts.append(ended)
        elif token.end() - at > PIECE:
            _long_text(document, inner, at, token.end())
    for part in outermost.parts:
        if isinstance(part, Container):
            return part
    raise ValueError("it is small")


def _long_text(document: bytes, inner: Container, start: int, end: int) -> None:
    if inner.is_object and _is_key(document, end):
        if end - start > _LONGEST_KEY:
            raise ValueError("a key is too long")
        return
    inner.begins_large()
    inner.parts.append(Text(_key(document, inner.item, start), start, end))


def _key(document: bytes, start: int, end: int) -> bytes:
    return document[start:end].strip(_AROUND_A_KEY)
