"""Encodes a request to Kafka at once, whatever is in it.

aiokafka 0.14 encodes each part of a request, each array of parts, and so on outwards, and joins
them anew on each level: the records of a produce request are copied six times before it is sent. A
record of 7 MB holds up the event loop for some 20 ms that way, and for one if it is copied once.

Not reported of aiokafka.

- Symptom: everything else in the process waits for as long whenever a large record is sent.
- Reproduction: encode a `ProduceRequest` with a record of 30 MB.
- Mend: the parts are collected on all levels, and joined once.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.types import Array, Bytes, Int32, Schema

from app.kafka.wrapping import wrap

Encode = Callable[[Any], bytes]


def copy_once() -> None:
    """Make every Kafka client of this process join the parts of a request once."""
    wrap(RequestStruct, "encode", joining_once)


def joining_once(encode: Encode) -> Encode:
    """Replace `Struct.encode` by one that returns the same."""

    @wraps(encode)
    def encoded(request: Any) -> bytes:
        parts: list[bytes] = []
        schema = request.SCHEMA
        _put(schema, [getattr(request, name) for name in schema.names], parts.append)
        return b"".join(parts)

    return encoded


def _put(kind: Any, value: Any, put: Callable[[bytes], None]) -> None:
    """Encode a value of a kind, which is one of aiokafka's types."""
    if type(kind) is Schema:
        if len(value) != len(kind.fields):
            raise ValueError("Item field count does not match Schema")
        for field, one in zip(kind.fields, value, strict=True):
            _put(field, one, put)
    elif type(kind) is Array and value is not None:
        put(Int32.encode(len(value)))
        for one in value:
            _put(kind.array_of, one, put)
    elif kind is Bytes and value is not None:
        put(Int32.encode(len(value)))
        put(value)
    else:
        put(kind.encode(value))
