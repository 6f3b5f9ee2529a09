"""Which documents CouchDB may have meant with a 400 for the whole request.

CouchDB does not say which document it refuses, so these are its rules as far as they are known.
Being suspect condemns nothing: a suspect is sent by itself, and the database decides.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from app.storing.sink import Document

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def divide_suspects(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Split documents into those with nothing against them, and the suspects."""
    clean: list[Document] = []
    suspects: list[Document] = []
    for document in documents:
        (suspects if is_suspect(document) else clean).append(document)
    return clean, suspects


def is_suspect(document: Document) -> bool:
    """Whether CouchDB 3 would refuse it, or its own reading of `_id` would differ from ours."""
    try:
        content = _decode(document.body.decode())
    except (ValueError, RecursionError):
        return True
    return (
        not isinstance(content, dict)
        or content.get("_id") != document.id
        or document.id.startswith("_")
        or not document.id
        or any(name.startswith("_") for name in content.keys() - {"_id"})
        or (_SURROGATE.search(document.body) is not None and _lone_surrogate(content))
    )


def carries_its_id(document: Document) -> bool:
    """Whether the body's `_id` is the document's id; if not, no answer can ever name it."""
    try:
        content = _decode(document.body.decode())
    except (ValueError, RecursionError):
        return True
    return isinstance(content, dict) and content.get("_id") == document.id


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("out of a double's range")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(
    parse_float=_double, parse_int=str, parse_constant=_no_constant, strict=True
).decode


def _lone_surrogate(content: Any) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
