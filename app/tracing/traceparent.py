"""The W3C header `traceparent`, as records of Kafka carry it (https://www.w3.org/TR/trace-context/).

OpenWhisk puts no headers on its records. OpenTelemetry's agent for Java does so for any producer in
a process that it is attached to, controllers and invokers included.
"""

import re
from collections.abc import Iterable
from typing import Any

NAME = "traceparent"

_FORM = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.{0,200})?")
_NO_VERSION = b"ff"
_LONGEST = 300

Parent = tuple[int, int, int]
"""Trace id, span id, flags."""


def header_of(record: Any) -> bytes | None:
    """The header of a record, if it has one that may be read."""
    for name, value in record.headers or ():
        if name == NAME and value and len(value) <= _LONGEST:
            return bytes(value)
    return None


def parse(value: bytes) -> Parent | None:
    """What it says; None where that is nothing."""
    found = _FORM.fullmatch(value)
    if found is None or value[:2] == _NO_VERSION:
        return None
    trace, span, flags = (int(part, 16) for part in found.groups())
    return (trace, span, flags) if trace and span else None


def parents(records: Iterable[Any], most: int) -> list[Parent]:
    """The different ones of records, in their order, and no more than `most`: anybody may write."""
    found: dict[Parent, None] = {}
    for record in records:
        value = header_of(record) if record.headers else None
        parent = parse(value) if value else None
        if parent is not None:
            found[parent] = None
            if len(found) == most:
                break
    return list(found)
