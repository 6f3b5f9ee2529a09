"""Takes large bodies apart a piece at a time, so that other requests get their turn in between.

A decoder reads sixty megabytes in one go, in a tenth of a second in which nobody else is served,
whichever thread it runs in. Here only the ends of strings and brackets are looked for, some tens of
kilobytes at a time. What the documents themselves are worth is left to who reads them.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from models.patterns import compiled
from openwhisk.gateway.counts import MOST_DOCUMENTS, MOST_VALUES
from openwhisk.gateway.turns import Steps

LARGE: Final = 2 * 1024 * 1024
"""Bodies above this size in bytes are handled here; smaller ones are decoded in a few milliseconds.
"""

_SENT: Final = 256 * 1024
"""Bytes to send before other requests get a turn."""

_PIECE: Final = 64 * 1024
"""Bytes of a piece, which takes two milliseconds if all of them are escapes."""

_STEPS_OF_A_PIECE: Final = 1000
"""Brackets and members of a piece; each takes a few microseconds, however short it is."""

_MOST_BRACKETS: Final = 500_000
"""Most brackets of a body; each costs a microsecond."""

_LONGEST_ID: Final = 64 * 1024
_LONGEST_SCALAR: Final = 1000

_MOST_BLANKS: Final = _PIECE
"""Most blanks in a row."""

_BLANKS: Final = b" \t\n\r"
_SPACE: Final = rb"[ \t\n\r]{0,%d}+" % _MOST_BLANKS
_space = re.compile(_SPACE).match
_between = re.compile(_SPACE + rb"(,?)" + _SPACE).match
_begin = re.compile(_SPACE + rb"\{" + _SPACE).match
_member = re.compile(
    rb'(?:"docs"' + _SPACE + rb":" + _SPACE + rb"(\[)"
    # OpenWhisk does not write this field, but others may.
    + rb'|"new_edits"' + _SPACE + rb":" + _SPACE + rb"(?:true|(false))" + rb")" + _SPACE
).match  # fmt: skip
_colon = re.compile(_SPACE + rb":" + _SPACE).match
_scalar = re.compile(rb"[^\s,\]\[{}\"]{1,%d}" % _LONGEST_SCALAR).match
_plain = compiled(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL).match
_rest_of_string = compiled(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL).match
_end = re.compile(_SPACE + rb"\}" + _SPACE + rb"\Z").match

_QUOTE: Final = ord('"')
_OPENING: Final = b"[{"
_CLOSING: Final = ord("}")
_END_OF_ARRAY: Final = ord("]")
_string = msgspec.json.Decoder(str).decode

Bytes = bytes | bytearray | memoryview
_Match: TypeAlias = Callable[[Bytes, int], re.Match[bytes] | None]


class UncertainError(ValueError):
    """What follows cannot be said, and CouchDB may read it all the same.

    There is more of something than is looked at, or a text that our decoder does not read.
    """


def documents(
    body: bytes | bytearray, most: int = MOST_DOCUMENTS, *, members: int = MOST_VALUES
) -> Steps[list[memoryview] | None]:
    """The documents of a `_bulk_docs` body, each from its first to its last bracket.

    Args:
        body: the body as received.
        most: most documents that it may have.
        members: most members that it may have around them; names may repeat.

    Returns:
        None if it is more than a plain write, or visibly broken outside the documents.
    """
    reading = Reading(body, members)
    found: list[memoryview] | None = None
    try:
        at = (yield from reading.expected(_begin, 0)).end()
        while body[at] == _QUOTE:
            yield from reading.member()
            member = yield from reading.expected(_member, at)
            at = member.end()
            if member[2] or (member[1] and found is not None):
                return None
            if member[1]:
                found, at = yield from reading.items(at, most)
            comma = yield from reading.expected(_between, at)
            if comma[1]:
                at = comma.end()
                continue
            return found if _end(body, at) else None
    except (ValueError, IndexError):
        return None
    return None


def id_of(document: Bytes, *, members: int = MOST_VALUES) -> Steps[str | None]:
    """The `_id` in a document, as `Reading.id_of_object` finds it.

    Args:
        document: the document as received.
        members: most members that it may have.

    Raises:
        ValueError: it has more, or is visibly broken, or the id cannot be read.
    """
    reading = Reading(document, members)
    try:
        return (yield from reading.id_of_object(0))[0]
    except IndexError:
        raise ValueError("it has no end") from None


async def pieces(parts: Iterable[Bytes]) -> AsyncIterator[memoryview]:
    """Split bytes to send into pieces that do not keep others waiting.

    Short parts are sent together: nobody gets a turn before the kernel has enough to send, and each
    piece is a call of it.
    """
    together = bytearray()
    for part in parts:
        view = memoryview(part)
        for at in range(0, len(view), _SENT):
            piece = view[at : at + _SENT]
            if together and len(together) + len(piece) > _SENT:
                yield memoryview(together)
                together = bytearray()
            if len(piece) == _SENT:
                yield piece
            else:
                together += piece
    if together:
        yield memoryview(together)


class Reading:
    """Finds the ends of JSON values.

    Raises `UncertainError` where it stops, and another `ValueError` or an `IndexError` if there is
    no end.
    """

    def __init__(self, text: Bytes, members: int) -> None:
        self._text = text
        self._members_left = members
        self._piece = 0.0
        self._brackets = 0

    def member(self) -> Steps[None]:
        """Count a member or an item that is looked at."""
        if not self._members_left:
            raise UncertainError("too many members")
        self._members_left -= 1
        yield from self._pass(1 / _STEPS_OF_A_PIECE)

    def expected(self, match: _Match, at: int) -> Steps[re.Match[bytes]]:
        """What has to be at `at`, with blanks around it."""
        found = match(self._text, at)
        if found is None:
            blanks = _required(_space(self._text, at))
            if blanks.end() - at == _MOST_BLANKS:
                raise UncertainError("too many blanks")
            raise ValueError("something else is expected")
        end = found.end()
        if end < len(self._text) and self._text[end] in _BLANKS:
            raise UncertainError("too many blanks")
        yield from self._pass((end - at) / _PIECE)
        return found

    def id_of_object(self, at: int) -> Steps[tuple[str | None, int]]:
        """The `_id` in an object, given its position, and where it ends.

        The last one counts, as to CouchDB's decoder (jiffy's `dedupe_keys`). One that is no text is
        none, to the gateway as to CouchDB, and so is one that is longer than any activation's.
        """
        found: tuple[int, int] | None = None

        def look(name: str | None, at: int) -> Steps[int]:
            nonlocal found
            end = yield from self.value_end(at)
            if name == "_id":
                found = (at, end)
            return end

        end = yield from self.members(at, look)
        if found is None or self._text[found[0]] != _QUOTE:
            return None, end
        return self._name(*found), end

    def members(self, at: int, look: Callable[[str | None, int], Steps[int]]) -> Steps[int]:
        """Look at each member of an object.

        Args:
            at: the object's position.
            look: takes the name of a member, None if it is longer than any id, and the position of
                its value; returns where that ends.

        Returns:
            Where the object ends.
        """
        at = (yield from self.expected(_begin, at)).end()
        yield from self._bracket()
        if self._text[at] == _CLOSING:
            return at + 1
        while True:
            if self._text[at] != _QUOTE:
                raise ValueError("something else than a member")
            yield from self.member()
            start, at = at, (yield from self.string_end(at))
            name = self._name(start, at)
            colon = yield from self.expected(_colon, at)
            at = yield from look(name, colon.end())
            comma = yield from self.expected(_between, at)
            at = comma.end()
            if not comma[1]:
                break
        if self._text[at] != _CLOSING:
            raise ValueError("no end of an object")
        return at + 1

    def each(self, at: int, look: Callable[[int], Steps[int]]) -> Steps[int]:
        """Look at each item of an array.

        Args:
            at: the array's position.
            look: takes the position of an item; returns where that ends.

        Returns:
            Where the array ends.
        """
        at = (yield from self.expected(_space, at + 1)).end()
        if self._text[at] == _END_OF_ARRAY:
            return at + 1
        while True:
            yield from self.member()
            at = yield from look(at)
            comma = yield from self.expected(_between, at)
            at = comma.end()
            if not comma[1]:
                break
        if self._text[at] != _END_OF_ARRAY:
            raise ValueError("no end of an array")
        return at + 1

    def items(self, at: int, most: int) -> Steps[tuple[list[memoryview], int]]:
        """The objects of an array, given the position of its first item, and where it ends."""
        view = memoryview(self._text)
        found: list[memoryview] = []
        while view[at] == _OPENING[1]:
            if len(found) == most:
                raise ValueError("too many")
            end = yield from self.value_end(at)
            found.append(view[at:end])
            comma = yield from self.expected(_between, end)
            at = comma.end()
            if not comma[1]:
                break
        else:
            if found:
                raise ValueError("something else than an object")
        if view[at] != _END_OF_ARRAY:
            raise ValueError("no end of an array")
        return found, at + 1

    def value_end(self, at: int) -> Steps[int]:
        """The position after the value that begins at `at`."""
        first = self._text[at]
        if first == _QUOTE:
            return (yield from self.string_end(at))
        if first not in _OPENING:
            scalar = _required(_scalar(self._text, at))
            if len(scalar[0]) == _LONGEST_SCALAR:
                raise UncertainError("too long a number")
            return scalar.end()
        depth = 0
        while True:
            limit = min(at + _PIECE, len(self._text))
            start, at = at, _required(_plain(self._text, at, limit)).end()
            yield from self._pass((at - start) / _PIECE)
            if at == limit:
                if at == len(self._text):
                    raise ValueError("no end of a value")
            elif self._text[at] == _QUOTE:
                at = yield from self.string_end(at)
            else:
                depth += 1 if self._text[at] in _OPENING else -1
                at += 1
                yield from self._bracket()
                if not depth:
                    return at

    def string_end(self, at: int) -> Steps[int]:
        """The position after the string that begins at `at`."""
        at += 1
        while True:
            start = at
            at = _required(_rest_of_string(self._text, at, at + _PIECE)).end()
            yield from self._pass((at - start) / _PIECE)
            if self._text[at] == _QUOTE:  # raises IndexError at the end of the text
                return at + 1
            if at == start:
                raise ValueError("no end of a string")

    def _name(self, start: int, end: int) -> str | None:
        """A string that may be a name or an id; None if it is longer than any id."""
        if end - start > _LONGEST_ID:
            return None
        try:
            return _string(bytes(self._text[start:end]))
        except ValueError as error:
            raise UncertainError("an unreadable text") from error

    def _bracket(self) -> Steps[None]:
        self._brackets += 1
        if self._brackets > _MOST_BRACKETS:
            raise UncertainError("too many values")
        yield from self._pass(1 / _STEPS_OF_A_PIECE)

    def _pass(self, share: float) -> Steps[None]:
        """End a piece once it is large enough."""
        self._piece += share
        if self._piece >= 1:
            self._piece = 0.0
            yield


def _required(found: re.Match[bytes] | None) -> re.Match[bytes]:
    if found is None:
        raise ValueError("something else is expected")
    return found
