"""Reads JSON as OpenWhisk's parser (spray-json 1.3.5) does, without losing anything.

Numbers become `Decimal`, the last of two equal keys wins, lone surrogates are kept, and 1000 levels
of nesting are read, however deep the caller's own stack is. What is decoded may take twenty times
the memory of the text: where that is somebody else's, and may be large, see `models.json_text`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from json import JSONDecoder
from typing import Any, Final

from models.json_grammar import MAX_DEPTH
from models.patterns import compiled
from models.recursion import room_for


class Exponential(Decimal):
    """A number with an exponent. CouchDB keeps it as a double, which depends on how it is written.

    Attributes:
        text: As it is written.
    """

    __slots__ = ("text",)
    text: str


_SHALLOW: Final = 200
# A string that is never closed is one token, so that no part of a text is looked at twice.
_string = r'"(?:[^"\\]++|\\.?)*+"?'
_token = compiled(_string + r'|[\[{]|[\]}]|[^\s,:\[\]{}"]+', re.DOTALL)


def loads(text: str) -> Any:
    """Decode a JSON text.

    Raises `ValueError` when it is not JSON or nested too deeply; the message shows no contents.
    """
    with _room_for_depth(text):
        return _decoder.decode(text)


@contextmanager
def _room_for_depth(text: str) -> Iterator[None]:
    """Let Python's decoder recurse as deep as `text` is nested, if that is allowed."""
    if text.count("[") + text.count("{") <= _SHALLOW:
        yield
        return
    _check_depth(text)
    with room_for(MAX_DEPTH):
        yield


def _check_depth(text: str) -> None:
    depth = 0
    for token in _token.finditer(text):
        if token[0] in "]}":
            depth -= 1
            continue
        if depth >= MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        if token[0] in "[{":
            depth += 1


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except (
        InvalidOperation
    ):  # an exponent of twenty digits: no value here or elsewhere depends on it
        return Decimal("Infinity")


def _double(text: str) -> Decimal:
    number = _number(text)
    if "e" not in text and "E" not in text:
        return number
    exponential = Exponential(number)
    exponential.text = text
    return exponential


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = JSONDecoder(parse_int=_number, parse_float=_double, parse_constant=_no_number)
