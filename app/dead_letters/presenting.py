"""Formats a dead letter for people and for programs."""

import codecs
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from app.dead_letters.activation import activation_id
from app.dead_letters.reading import Letter
from app.process.printable import printable, shown
from models.instants import iso

COLUMNS = ("letter", "set aside", "reason", "from", "activation", "attempts", "replayed", "detail")


_LONGEST = 200
"""Most characters of a column; `show` prints everything."""


def as_line(letter: Letter, *, replayed: bool) -> str:
    """One line, with columns separated by tabs."""
    return "\t".join(as_columns(letter, replayed=replayed))


def as_columns(letter: Letter, *, replayed: bool) -> list[str]:
    """The columns' values, printable and of bounded length."""
    content = letter.content
    columns = (
        str(letter.id),
        iso(letter.set_aside_at),
        content.reason.value,
        f"{content.topic}/{content.partition}/{content.offset}",
        activation_id(content) or "-",
        str(content.attempts),
        "yes" if replayed else "no",
        content.detail,
    )
    return [printable(column, longest=_LONGEST) for column in columns]


def as_json(letter: Letter, *, replayed: bool) -> dict[str, Any]:
    """The letter as a JSON object, without the record's contents."""
    content = letter.content
    return {
        "letter": str(letter.id),
        "set_aside": iso(letter.set_aside_at),
        "reason": content.reason.value,
        "detail": shown(content.detail),
        "topic": content.topic,
        "partition": content.partition,
        "offset": content.offset,
        "timestamp": iso(content.timestamp),
        "activation_id": activation_id(content),
        "attempts": content.attempts,
        "replayed": replayed,
        "bytes": len(content.value or b""),
    }


def content_as_json(letter: Letter) -> dict[str, Any]:
    """The record's contents, as further fields for `as_json`: as text if UTF-8, else in base 64."""
    content = letter.content
    return {
        **_encoded("key", content.key),
        **_encoded("value", content.value),
        "headers": [{"name": name, **_encoded("value", value)} for name, value in content.headers],
    }


def _encoded(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(value).decode()}


_PIECE = 64 * 1024
"""How many bytes of a record to escape at a time; each may become ten characters."""


def as_text(letter: Letter, *, replayed: bool) -> Iterator[str]:
    """Everything, including the record's contents, in pieces, because it may be many megabytes."""
    content = letter.content
    about = {
        "letter": str(letter.id),
        "set aside": iso(letter.set_aside_at),
        "reason": f"{content.reason.value}: {content.detail}",
        "from": f"{content.topic}/{content.partition}, offset {content.offset}",
        "written": iso(content.timestamp),
        "activation": activation_id(content) or "cannot be told",
        "attempts": str(content.attempts),
        "replayed": "yes" if replayed else "no",
    }
    for name, text in about.items():
        yield f"{name + ':':<12}{printable(text)}\n"
    yield from _line("key:", content.key)
    for name, value in content.headers:
        yield from _line("header:", value, f"{printable(name)}=")
    yield f"{'value:':<12}{len(content.value or b'')} bytes\n\n"
    yield from _bytes(content.value, "\n\t")


def _line(name: str, value: bytes | None, before: str = "") -> Iterator[str]:
    yield f"{name:<12}{before}"
    yield from _bytes(value)
    yield "\n"


def _bytes(value: bytes | None, besides: str = "") -> Iterator[str]:
    if value is None:
        yield "none"
        return
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for start in range(0, len(value), _PIECE):
        yield printable(decoder.decode(value[start : start + _PIECE]), besides)
    yield printable(decoder.decode(b"", final=True), besides)
