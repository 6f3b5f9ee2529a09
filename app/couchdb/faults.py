"""Known reasons for which CouchDB 3 refuses a document, or fails on it.

CouchDB does not say which document of a request is at fault, so its rules are repeated here as far
as they are known. They are consulted only after a request has failed: another version, or another
database that speaks CouchDB's protocol, may accept more.
"""

import asyncio
import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from app.couchdb.update import plain_of
from app.storing.sink import Document

T = TypeVar("T")

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_DIGITS = 309
"""Digits of the largest double."""


_LARGE = 64 * 1024
"""Size in bytes above which a document takes long to decode."""


class _UnstorableError(ValueError):
    """A number that CouchDB cannot hold."""


def known_fault(document: Document) -> str | None:  # noqa: PLR0911 - one return for each rule
    """Why CouchDB 3 does not store a document, or None if no reason is known.

    An update is judged without the revision that it was given.
    """
    document = plain_of(document)
    try:
        content = _decode(document.body.decode())
    except _UnstorableError as error:
        return str(error)
    except RecursionError:
        return None  # it is not known how deep is too deep for CouchDB
    except ValueError:
        return "it is not JSON in UTF-8"
    if not isinstance(content, dict) or content.get("_id") != document.id:
        return "its _id is not the id that it is to be written under"
    if not document.id or document.id.startswith("_"):
        return "CouchDB keeps ids that begin with _ to itself"
    if any(name.startswith("_") for name in content.keys() - {"_id"}):
        return "CouchDB keeps fields that begin with _ to itself"
    if _SURROGATE.search(document.body) is not None and _lone_surrogate(content):
        return "half of a surrogate pair is in it"
    return None


def carries_its_id(document: Document) -> bool:
    """Whether the body's `_id` is the document's id; if not, no answer can refer to it."""
    try:
        content = json.loads(document.body, parse_int=str)
    except (ValueError, RecursionError):
        return True
    return isinstance(content, dict) and content.get("_id") == document.id


async def fault_of(document: Document) -> str | None:
    """As `known_fault`; a large document is decoded beside the event loop."""
    return await _found(known_fault, document)


async def is_misnamed(document: Document) -> bool:
    """Whether the body's `_id` is not the document's id, so that no answer can refer to it."""
    return not await _found(carries_its_id, document)


async def _found(look: Callable[[Document], T], document: Document) -> T:
    if len(document.body) <= _LARGE:
        return look(document)
    return await asyncio.to_thread(look, document)


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _UnstorableError("a number in it is out of a double's range")
    return value


def _integer(text: str) -> str:
    # CouchDB answers 500 `badarith`, because it takes logarithms to estimate a document's size.
    if len(text) >= _DIGITS and math.isinf(float(text)):
        raise _UnstorableError("an integer in it is out of a double's range")
    return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(
    parse_float=_double, parse_int=_integer, parse_constant=_no_constant, strict=True
).decode


def _lone_surrogate(content: Any) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
