"""The slow path: any value at all, read by the rules of OpenWhisk's reader.

A rejection says why. Only the fields that the rules need are decoded; the rest of a message,
however large, is only scanned.
"""

import io
import json
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Raw

from app.routing.outcomes import NO_TRANSID, Candidate, Reject, Skip
from models import json_text
from models.documents import ADDED_FIELDS, added_fields
from models.fields import FieldError, RecordError, activation_id, required, response_kind
from models.reading import ActivationFields, read_activation, read_annotation
from models.reasons import RejectReason, SkipReason
from models.reserved import RESERVED_PREFIX, explain
from models.wire import INSTANCE_FIELD

_QUOTE: Final = ord('"')
_TIMES: Final = ("start", "end")
_ENVELOPE: Final = frozenset({"response", "transid", "activationId", *INSTANCE_FIELD.values()})
_RECORD: Final = frozenset(
    {
        *("namespace", "name", "subject", "activationId", "start", "end", "response", "logs"),
        *("version", "publish", "annotations", "cause", "duration"),
    }
)
_RESPONSE: Final = frozenset({"statusCode", "size"})
_ANNOTATION: Final = frozenset({"key", "value", "init", "encryption"})
_NO_TEXTS: Final = [None]
"""Stands for an array that has something else than strings."""


def read(value: bytes, timestamp: int) -> Candidate | Skip | Reject:
    """Read any message; never raises, whatever the value is.

    Args:
        value: the Kafka record's value.
        timestamp: the Kafka record's timestamp, in epoch millis.
    """
    try:
        json_text.check(value)
    except UnicodeDecodeError as error:
        return Reject(RejectReason.NOT_JSON, f"the value is not UTF-8 (byte {error.start})")
    except ValueError as error:
        return Reject(RejectReason.NOT_JSON, f"the value is not JSON: {error}")
    try:
        return _message(value, timestamp)
    except RecordError as error:
        return Reject(RejectReason.INVALID_RECORD, str(error))
    except FieldError as error:
        return Reject(RejectReason.NOT_A_MESSAGE, str(error))


def _message(value: bytes, timestamp: int) -> Candidate | Skip:
    """Read a message; looks at the envelope only to find out whether there is a record."""
    start = len(value) - len(value.lstrip())
    if json_text.shallow(value, start, start + 1) != {}:
        raise FieldError("a message must be an object")
    places = _last(value, start, _ENVELOPE)
    fields = {name: json_text.shallow(value, *place) for name, place in places.items()}
    if "response" not in fields and fields.keys() & INSTANCE_FIELD.values():
        required(fields, "activationId", activation_id)
        return Skip(SkipReason.ACKNOWLEDGEMENT)
    if required(fields, "response", response_kind) == "id":
        required(fields, "response", activation_id)
        return Skip(SkipReason.NO_RECORD)
    start, end = places["response"]
    transid = slice(*places["transid"]) if "transid" in places else None
    return _candidate(
        value[start:end], timestamp, NO_TRANSID if transid is None else Raw(value[transid])
    )


def _candidate(record: bytes, timestamp: int, transid: Raw) -> Candidate:
    if json_text.has_long_number(record):
        raise RecordError(f"a number has more than {json_text.MAX_NUMBER_LENGTH} characters")
    places: dict[str, tuple[int, int]] = {}
    reserved = None
    for member in json_text.members(record):
        name = json_text.name(record, member)
        if name in _RECORD:
            places[name] = (member.start, member.end)
        elif reserved is None and name.startswith(RESERVED_PREFIX) and name not in ADDED_FIELDS:
            reserved = name
    activation = read_activation(_fields(record, places))
    if reserved is not None:
        raise RecordError(explain(reserved))
    return Candidate(
        activation["activation_id"],
        _document(record, places, activation, timestamp),
        activation["namespace"],
        activation["response"]["status_code"],
        transid,
    )


def _last(text: bytes, start: int, wanted: frozenset[str]) -> dict[str, tuple[int, int]]:
    """The positions of some fields' values in an object; of equal names the last one counts."""
    found: dict[str, tuple[int, int]] = {}
    for member in json_text.members(text, start):
        name = json_text.name(text, member)
        if name in wanted:
            found[name] = (member.start, member.end)
    return found


def _fields(record: bytes, places: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """What OpenWhisk's reader looks at, decoded only as deep as it looks."""
    fields = {name: json_text.shallow(record, *place) for name, place in places.items()}
    if fields.get("response") == {}:
        inner = _last(record, places["response"][0], _RESPONSE)
        fields["response"] = {
            name: json_text.shallow(record, *place) for name, place in inner.items()
        }
    if fields.get("logs") == []:
        start, _ = places["logs"]
        quotes = (record[at] == _QUOTE for at, _ in json_text.items(record, start))
        fields["logs"] = [] if all(quotes) else _NO_TEXTS
    if fields.get("annotations") == []:
        fields["annotations"] = _broken_annotations(record, places["annotations"][0])
    return fields


def _broken_annotations(record: bytes, start: int) -> Iterator[Any]:
    """The annotations that OpenWhisk's reader refuses; the others do not matter."""
    for at, end in json_text.items(record, start):
        fields = json_text.shallow(record, at, end)
        if fields == {}:
            inner = _last(record, at, _ANNOTATION)
            fields = {name: json_text.shallow(record, *place) for name, place in inner.items()}
        try:
            read_annotation(fields)
        except FieldError:
            yield fields


def _document(
    record: bytes, places: dict[str, tuple[int, int]], activation: ActivationFields, timestamp: int
) -> bytes:
    """The record's fields as they came, with ISO times as millis, plus the three added ones.

    Of equal names that OpenWhisk reads, the last one stays, as in OpenWhisk.
    """
    millis = {"start": activation["start"], "end": activation["end"]}
    document_id = f"{activation['namespace']}/{activation['activation_id']}"
    written = io.BytesIO()
    written.write(added_fields(json.dumps(document_id)[1:-1], timestamp).encode())
    separator = b""
    for member in json_text.members(record):
        key_start, key_end, start, end = member
        name = json_text.name(record, member)
        if name in ADDED_FIELDS or places.get(name, (start, end)) != (start, end):
            continue
        written.write(separator)
        if name in _TIMES and record[start] == _QUOTE:
            written.write(b"%b:%d" % (record[key_start:key_end], millis[name]))
        else:
            written.write(record[key_start:end])
        separator = b","
    written.write(b"}")
    return written.getvalue()
