"""Any value at all, read by the rules of OpenWhisk's reader, with the reason of a rejection."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from app.routing.outcomes import NO_TRANSID, Candidate, Reject, Skip
from models import exact_json
from models.documents import ADDED_FIELDS, added_fields
from models.exact_json import Member
from models.fields import FieldError, RecordError, activation_id, required, response_kind
from models.reading import ActivationFields, read_activation
from models.reasons import RejectReason, SkipReason
from models.wire import INSTANCE_FIELD

_TIMES = ("start", "end")
_SHOWN_NAME = 60


def read(value: bytes, timestamp: int) -> Candidate | Skip | Reject:
    """What a message holds; never raises, whatever the value is.

    Args:
        value: the Kafka record's value.
        timestamp: the Kafka record's, in epoch millis.
    """
    try:
        text = value.decode()
        decoded = exact_json.loads(text)
    except UnicodeDecodeError as error:
        return Reject(RejectReason.NOT_JSON, f"the value is not UTF-8 (byte {error.start})")
    except ValueError as error:
        return Reject(RejectReason.NOT_JSON, f"the value is not JSON: {error}")
    try:
        return _message(text, decoded, timestamp)
    except RecordError as error:
        return Reject(RejectReason.INVALID_RECORD, str(error))
    except FieldError as error:
        return Reject(RejectReason.NOT_A_MESSAGE, str(error))


def _message(text: str, decoded: Any, timestamp: int) -> Candidate | Skip:
    """What the message holds; of the envelope only what tells whether there is a record."""
    if not isinstance(decoded, Mapping):
        raise FieldError("a message must be an object")
    if "response" not in decoded and any(name in decoded for name in INSTANCE_FIELD.values()):
        required(decoded, "activationId", activation_id)
        return Skip(SkipReason.ACKNOWLEDGEMENT)
    if required(decoded, "response", response_kind) == "id":
        required(decoded, "response", activation_id)
        return Skip(SkipReason.NO_RECORD)
    activation = read_activation(decoded["response"])
    outer = exact_json.members(text)
    record_text = outer["response"].value_text
    if exact_json.has_long_number(record_text):
        raise RecordError(f"a number has more than {exact_json.MAX_NUMBER_LENGTH} characters")
    record = exact_json.members(record_text)
    for name in record:
        if name.startswith("_") and name not in ADDED_FIELDS:
            raise RecordError(
                f"{name[:_SHOWN_NAME]!a}: CouchDB keeps names beginning with _ to itself"
            )
    return Candidate(
        activation["activation_id"],
        _document(record, activation, timestamp),
        activation["namespace"],
        activation["response"]["status_code"],
        Raw(outer["transid"].value_text.encode()) if "transid" in outer else NO_TRANSID,
    )


def _document(record: dict[str, Member], activation: ActivationFields, timestamp: int) -> bytes:
    """The record's fields as they came, ISO times as millis, and the three that are added."""
    millis = {"start": activation["start"], "end": activation["end"]}
    document_id = f"{activation['namespace']}/{activation['activation_id']}"
    added = added_fields(json.dumps(document_id)[1:-1], timestamp)
    parts = []
    for name, member in record.items():
        if name in _TIMES and isinstance(member.value, str):
            parts.append(f"{member.key_text}:{millis[name]}")
        elif name not in ADDED_FIELDS:
            parts.append(f"{member.key_text}:{member.value_text}")
    return f"{added}{','.join(parts)}}}".encode()
