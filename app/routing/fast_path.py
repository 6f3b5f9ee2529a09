"""The fast path: messages in the usual form, read in a few microseconds.

Anything unusual (a namespace with slashes, times as ISO strings, a lone surrogate …) is left to
`app.routing.slow_path`: this module may give up on a good message, but never accepts a bad one.
"""

import re
from functools import lru_cache
from typing import Annotated, Final

from msgspec import UNSET, Meta, MsgspecError, Raw, Struct, UnsetType, ValidationError
from msgspec.json import Decoder

from app.routing.outcomes import NO_TRANSID, Candidate, Skip
from models.documents import ADDED_FIELDS, added_fields
from models.fields import ACTIVATION_ID, ENTITY_NAME
from models.json_grammar import MAX_DEPTH
from models.json_text import MAX_NUMBER_LENGTH
from models.reasons import SkipReason

Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Long = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Message(Struct, gc=False, rename="camel"):
    """The parts of a message that matter; nothing else in the envelope leads to a rejection."""

    response: Raw | UnsetType = UNSET
    transid: Raw = NO_TRANSID
    instance: Raw | UnsetType = UNSET
    invoker: Raw | UnsetType = UNSET
    activation_id: Raw | UnsetType = UNSET


class _Response(Struct, gc=False, rename="camel"):
    status_code: Int
    size: Int | None = None


class _Annotation(Struct, gc=False, forbid_unknown_fields=True):
    key: str
    value: Raw


class _Record(Struct, gc=False, rename="camel", forbid_unknown_fields=True):
    namespace: str
    name: str
    subject: str
    activation_id: str
    start: int
    end: int
    response: _Response
    logs: list[str]
    version: str
    publish: bool
    annotations: list[_Annotation]
    cause: str | None = None
    duration: Long | None = None


class _NewerRecord(_Record, gc=False, forbid_unknown_fields=False):
    """A record from a version of OpenWhisk with more fields."""


_usual_name: Final = re.compile(ENTITY_NAME).fullmatch
_usual_namespace: Final = re.compile(f"(?!_){ENTITY_NAME}").fullmatch
_usual_subject: Final = re.compile(r"[^\x00-\x20]{5,}").fullmatch
_usual_version: Final = re.compile(r"(?=[0.]*[1-9])[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}").fullmatch
_usual_activation_id: Final = re.compile(ACTIVATION_ID).fullmatch
_usual_id: Final = re.compile(rf'"{ACTIVATION_ID}"'.encode()).fullmatch

_decode_message: Final = Decoder(_Message).decode
_decode_record: Final = Decoder(_Record).decode
_decode_newer_record: Final = Decoder(_NewerRecord).decode

_may_name_reserved: Final = re.compile(
    rb'"(?:_|' + b"|".join(name.encode() for name in ADDED_FIELDS) + rb")|\\u00[4-7]"
).search
"""Finds what may be a name reserved by CouchDB, or one that is added here; \\u005f is a _."""

_OBJECT: Final = ord("{")

_USUAL_LENGTH: Final = 4096
"""The most characters of a record's names that are cached, together."""

_LARGE: Final = 64 * 1024
AT_ONCE: Final = 256 * 1024
"""Bytes that are read while everything else waits."""

_SHORTEST_STRINGS: Final = 8
"""Bytes per quote below which a large message is left to the slow path: decoded strings that short
take ten times their written size.
"""

# If every twentieth byte is taken, a number of more than 100 characters yields at least five in a
# row.
_STRIDE: Final = 20
_AS_DIGITS: Final = bytes(48 if byte in b"0123456789+-.eE" else 32 for byte in range(256))
_DENSE: Final = b"0" * (MAX_NUMBER_LENGTH // _STRIDE)
_LONG: Final = b"0" * (MAX_NUMBER_LENGTH + 1)

_NO_RECORD: Final = Skip(SkipReason.NO_RECORD)
_ACKNOWLEDGEMENT: Final = Skip(SkipReason.ACKNOWLEDGEMENT)


def read(value: bytes, timestamp: int, longest: int = AT_ONCE) -> Candidate | Skip | None:
    """Read a message in the usual form; returns None for any other form.

    Args:
        value: the Kafka record's value.
        timestamp: the Kafka record's timestamp, in epoch millis.
        longest: bytes of a value that is read; takes 10 ms for a megabyte.
    """
    if (
        len(value) > _LARGE
        and (len(value) > longest or value.count(b'"') * _SHORTEST_STRINGS > len(value))
    ) or (
        # It may be nested too deep for OpenWhisk's reader, though not for Python's.
        len(value) > 2 * MAX_DEPTH and value.count(b"[") + value.count(b"{") >= MAX_DEPTH
    ):
        return None
    try:
        message = _decode_message(value)
        if not value.isascii():
            value.decode()  # msgspec does not check the UTF-8 of raw fields
        if message.response is UNSET:
            return _ACKNOWLEDGEMENT if _usual_acknowledgement(message) else None
        response = memoryview(message.response)
        if response[0] == _OBJECT:
            if _DENSE in value[::_STRIDE].translate(_AS_DIGITS) and _LONG in value.translate(
                _AS_DIGITS
            ):
                return None  # there may be a number that OpenWhisk's reader refuses
            return _candidate(response, message.transid, timestamp)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _NO_RECORD if _usual_id(response) else None


def _candidate(response: memoryview, transid: Raw, timestamp: int) -> Candidate | None:
    try:
        record = _decode_record(response)
    except ValidationError:
        if _may_name_reserved(response):
            return None
        record = _decode_newer_record(response)
    namespace, activation_id, cause = record.namespace, record.activation_id, record.cause
    if len(response) > _USUAL_LENGTH and _is_long(record):
        return None
    if not (
        _usual_activation_id(activation_id)
        and _usual_action(namespace, record.name, record.subject, record.version)
        and (cause is None or _usual_activation_id(cause))
    ):
        return None
    added = added_fields(f"{namespace}/{activation_id}", timestamp)
    # None of the record's fields is one of the added ones, and all are in their final form.
    document = b"".join((added.encode(), response[1:]))
    return Candidate(activation_id, document, namespace, record.response.status_code, transid)


def _is_long(record: _Record) -> bool:
    parts = (record.namespace, record.name, record.subject, record.version)
    return sum(map(len, parts)) > _USUAL_LENGTH


@lru_cache(maxsize=4096)  # an action that has run now will soon run again
def _usual_action(namespace: str, name: str, subject: str, version: str) -> bool:
    """Whether these are in the usual form, in which a namespace has no slash."""
    return bool(
        _usual_namespace(namespace)
        and _usual_name(name)
        and _usual_subject(subject)
        and _usual_version(version)
    )


def _usual_acknowledgement(message: _Message) -> bool:
    """Whether it only says that an activation ended; the record then travels elsewhere."""
    if message.instance is UNSET and message.invoker is UNSET:
        return False
    return message.activation_id is not UNSET and bool(_usual_id(message.activation_id))
