"""Reads from a record's JSON only the fields that are shown. Pure.

A record may have many megabytes, which could take ten times as much memory once decoded, and may be
nested deeper than Python's own parser goes.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

LONGEST = 4096
"""Most bytes of a value to show; a longer one is only mentioned."""

TOO_LONG = "(too long to be shown)"

LOGS = 4 * 1024 * 1024
"""Most bytes of logs to show."""

LINES = 100_000
"""Most lines of logs to show: each takes a microsecond, however short it is."""

_Field = Raw | UnsetType


class _Shown(msgspec.Struct, gc=False):
    id: _Field = msgspec.field(name="_id", default=UNSET)
    rev: _Field = msgspec.field(name="_rev", default=UNSET)
    namespace: _Field = UNSET
    name: _Field = UNSET
    subject: _Field = UNSET
    start: _Field = UNSET
    end: _Field = UNSET
    duration: _Field = UNSET
    version: _Field = UNSET
    cause: _Field = UNSET
    response: _Field = UNSET
    logs: _Field = UNSET


class _Response(msgspec.Struct, gc=False):
    statusCode: _Field = UNSET  # noqa: N815 - OpenWhisk's


_shown = msgspec.json.Decoder(_Shown).decode
_response = msgspec.json.Decoder(_Response).decode
_value = msgspec.json.Decoder().decode
_lines = msgspec.json.Decoder(list[str]).decode

_ERRORS = (ValueError, RecursionError)


def fields_of(document: bytes) -> dict[str, Any]:
    """The fields to show by their names; empty for anything but a JSON object."""
    try:
        record = _shown(document)
    except _ERRORS:
        return {}
    found: dict[str, Any] = {}
    for name in _Shown.__struct_fields__:
        written = getattr(record, name)
        if written is not UNSET and name not in ("response", "logs"):
            found[f"_{name}" if name in ("id", "rev") else name] = _read(written)
    if isinstance(record.response, Raw):
        found["response"] = _status(record.response)
    if isinstance(record.logs, Raw):
        found["logs"] = _logs(record.logs)
    return found


def _status(response: Raw) -> dict[str, Any]:
    try:
        status = _response(response).statusCode
    except _ERRORS:
        return {}
    return {} if status is UNSET else {"statusCode": _read(status)}


def _logs(written: Raw) -> list[str]:
    if len(bytes(written)) > LOGS:
        return [TOO_LONG]
    try:
        lines: list[str] = _lines(written)
    except _ERRORS:
        return []
    return lines if len(lines) <= LINES else [TOO_LONG]


def _read(written: Raw) -> Any:
    text = bytes(written)
    if len(text) > LONGEST:
        return TOO_LONG
    try:
        return _value(text)
    except _ERRORS:
        return text.decode(errors="replace")
