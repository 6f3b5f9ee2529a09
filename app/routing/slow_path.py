"""The slow path: any value at all, read by the rules of OpenWhisk's reader.

A rejection says why. Only the fields that the rules need are decoded; the rest of a message,
however large, is only scanned.
"""

import io
import json
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from msgspec import UNSET, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder

from app.routing.outcomes import NO_TRANSID, Candidate, Reject, Skip
from models import json_grammar, json_text
from models.documents import ADDED_FIELDS, added_fields
from models.fields import FieldError, RecordError, activation_id, required, response_kind
from models.reading import ActivationFields, read_activation, read_annotation
from models.reasons import RejectReason, SkipReason
from models.reserved import RESERVED_PREFIX, explain
from models.wire import INSTANCE_FIELD

_BITS: Final = 32
_END: Final = (1 << _BITS) - 1
"""A record has far fewer bytes."""

_QUOTE: Final = ord('"')
_TIMES: Final[tuple[Literal["start", "end"], ...]] = ("start", "end")
_BETWEEN: Final = b" \t\n\r,"
"""What is between members."""

_RECORD: Final = frozenset(
    {
        *("namespace", "name", "subject", "activationId", "start", "end", "response", "logs"),
        *("version", "publish", "annotations", "cause", "duration"),
    }
)
_ENVELOPE: Final = json_text.Names(
    {"response", "transid", "activationId", *INSTANCE_FIELD.values()}
)
_FIELDS: Final = json_text.Names(_RECORD | set(ADDED_FIELDS), prefix=RESERVED_PREFIX)
_RESPONSE: Final = json_text.Names({"statusCode", "size"})
_ANNOTATION: Final = json_text.Names({"key", "value", "init", "encryption"})
_NO_TEXTS: Final = [None]
"""Stands for an array that has something else than strings."""


def read(value: bytes, timestamp: int) -> Candidate | Skip | Reject:
    """Read any message; never raises, whatever the value is.

    Args:
        value: the Kafka record's value.
        timestamp: the Kafka record's timestamp, in epoch millis.
    """
    try:
        fault = json_grammar.fault(value)
    except UnicodeDecodeError as error:
        return Reject(RejectReason.NOT_JSON, f"the value is not UTF-8 (byte {error.start})")
    if fault is not None:
        return Reject(RejectReason.NOT_JSON, f"the value is not JSON: {fault}")
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
    found = _read(record)
    activation = read_activation(_fields(record, found.places))
    if found.reserved is not None:
        raise RecordError(explain(found.reserved))
    return Candidate(
        activation["activation_id"],
        _document(record, found, activation, timestamp),
        activation["namespace"],
        activation["response"]["status_code"],
        transid,
    )


class _Found(NamedTuple):
    """What matters of a record.

    Attributes:
        places: of the fields that OpenWhisk reads; of equal names the last one counts.
        reserved: the first name that CouchDB keeps to itself.
        changed: the places that differ in the document, each as one number (`_packed`), since there
            may be a million: members that are left out, and times in ISO form.
    """

    places: dict[str, tuple[int, int]]
    reserved: str | None
    changed: "array[int]"


def _read(record: bytes) -> _Found:
    places: dict[str, tuple[int, int]] = {}
    keys: dict[str, int] = {}
    reserved = None
    changed = array("Q")
    for name, key_start, _, start, end in _FIELDS.members(record):
        if name in _RECORD:
            if name in keys:
                _leave_out(changed, keys[name], places[name][1])
            keys[name] = key_start
            places[name] = (start, end)
        elif name in ADDED_FIELDS:
            _leave_out(changed, key_start, end)
        elif reserved is None:
            reserved = name
    times = (places[name] for name in _TIMES if name in places)
    changed.extend(_packed(start, end) for start, end in times if record[start] == _QUOTE)
    return _Found(places, reserved, changed)


def _packed(start: int, end: int) -> int:
    return start << _BITS | end


def _leave_out(changed: "array[int]", start: int, end: int) -> None:
    if changed and changed[-1] & _END == start - 1:  # a comma is all that is between
        start = changed.pop() >> _BITS
    changed.append(_packed(start, end))


def _last(text: bytes, start: int, wanted: json_text.Names) -> dict[str, tuple[int, int]]:
    """The positions of some fields' values in an object; of equal names the last one counts."""
    return {name: (first, end) for name, _, _, first, end in wanted.members(text, start)}


def _fields(record: bytes, places: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """What OpenWhisk's reader looks at, decoded only as deep as it looks."""
    fields = {name: json_text.shallow(record, *place) for name, place in places.items()}
    if fields.get("response") == {}:
        inner = _last(record, places["response"][0], _RESPONSE)
        fields["response"] = {
            name: json_text.shallow(record, *place) for name, place in inner.items()
        }
    if fields.get("logs") == []:
        only_texts = json_text.holds_texts_only(record, places["logs"][0])
        fields["logs"] = [] if only_texts else _NO_TEXTS
    if fields.get("annotations") == []:
        fields["annotations"] = _broken_annotations(record, places["annotations"][0])
    return fields


class _Annotation(Struct, gc=False):
    """An annotation that may have any fields besides, but these in the form that they mostly have.

    OpenWhisk's reader takes all that are read so.
    """

    key: str
    value: Raw
    init: bool | UnsetType = UNSET
    encryption: str | UnsetType = UNSET


class _Parts(Struct, gc=False):
    """The fields of an annotation that OpenWhisk's reader looks at, whatever they are."""

    key: Raw | UnsetType = UNSET
    value: Raw | UnsetType = UNSET
    init: Raw | UnsetType = UNSET
    encryption: Raw | UnsetType = UNSET


_decode_annotations: Final = Decoder(list[_Annotation]).decode
_decode_parts: Final = Decoder(list[_Parts]).decode


def _broken_annotations(record: bytes, start: int) -> Iterator[Any]:
    """The annotations that OpenWhisk's reader refuses; the others do not matter."""
    for part in json_text.parts(record, start):
        if not _are_accepted(part):
            yield from _broken_ones(part)


def _are_accepted(annotations: bytes) -> bool:
    """Whether these are surely accepted; takes a tenth of the time that `_broken_ones` does."""
    try:
        _decode_annotations(annotations)
    except (MsgspecError, RecursionError):
        pass
    else:
        return True
    try:
        parts = _decode_parts(json_grammar.with_whole_characters(annotations))
    except (MsgspecError, RecursionError):
        return False
    return all(
        _is_accepted(
            _beginning(one.key),
            _beginning(one.value),
            _beginning(one.init),
            _beginning(one.encryption),
        )
        for one in parts
    )


def _beginning(value: Raw | UnsetType) -> int | None:
    return None if value is UNSET else memoryview(value)[0]


@lru_cache
def _is_accepted(*beginnings: int | None) -> bool:
    """Whether annotations are whose four fields begin so; None is one that is not there."""
    fields = {
        name: _EXAMPLES.get(first, 0)
        for name, first in zip(_Parts.__struct_fields__, beginnings, strict=True)
        if first is not None
    }
    try:
        read_annotation(fields)
    except FieldError:
        return False
    return True


_EXAMPLES: Final = {_QUOTE: "", ord("t"): True, ord("f"): False, ord("n"): None}
"""Of values that begin so."""


def _broken_ones(part: bytes) -> Iterator[Any]:
    for at, end in json_text.items(part, 0):
        fields = json_text.shallow(part, at, end)
        if fields == {}:
            inner = _last(part, at, _ANNOTATION)
            fields = {name: json_text.shallow(part, *place) for name, place in inner.items()}
        try:
            read_annotation(fields)
        except FieldError:
            yield fields


def _document(record: bytes, found: _Found, activation: ActivationFields, timestamp: int) -> bytes:
    """The record's fields as they came, with ISO times as millis, plus the three added ones.

    Of equal names that OpenWhisk reads, the last one stays, as in OpenWhisk.
    """
    document_id = f"{activation['namespace']}/{activation['activation_id']}"
    added = added_fields(json.dumps(document_id)[1:-1], timestamp).encode()
    if not found.changed:
        return b"".join((added, memoryview(record)[1:]))
    written = io.BytesIO()
    written.write(added)
    millis = {found.places[name][0]: b"%d" % activation[name] for name in _TIMES}
    separator = b""
    at = 1
    for change in sorted(found.changed):
        start, end = change >> _BITS, change & _END
        kept = record[at:start].strip(_BETWEEN)
        if kept:
            written.write(separator)
            written.write(kept)
            written.write(millis.get(start, b""))
            separator = b","
        at = end
    last = record[at:-1].strip(_BETWEEN)
    if last:
        written.write(separator)
        written.write(last)
    written.write(b"}")
    return written.getvalue()
