"""Reads the JSON of a record and of a transid by the rules of OpenWhisk's own readers.

It returns plain values, from which the Faust records are built; code that only decides about a
message (routing, the gateway) needs no Faust.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypedDict

from models import fields as field
from models.fields import NULL, FieldError, RecordError, is_number, optional, required
from models.instants import epoch_millis


class ResponseFields(TypedDict):
    """The fields of `models.activation.ActivationResponse`, which explains them."""

    status_code: int
    result: Any
    size: int | None


class ActivationFields(TypedDict):
    """The fields of `models.activation.Activation`, which explains them."""

    namespace: str
    name: str
    subject: str
    activation_id: str
    start: int
    end: int
    response: ResponseFields
    logs: list[str]
    version: str
    publish: bool
    annotations: dict[str, Any]
    cause: str | None
    duration: int | None


class TransidParts(NamedTuple):
    """A transid, with its parent as it was written; `None` when it has none."""

    id: str
    start: int
    extra_logging: bool
    parent: Any


def read_activation(fields: Mapping[str, Any]) -> ActivationFields:
    """Read a record out of a message.

    Raises:
        RecordError: Names the first field that OpenWhisk's reader would not accept.
    """
    try:
        return _activation(fields)
    except FieldError as error:
        raise RecordError(str(error)) from None


def read_response(fields: Mapping[str, Any]) -> ResponseFields:
    """Read how an activation ended; raises `FieldError`."""
    return ResponseFields(
        status_code=required(fields, "statusCode", field.whole_int),
        result=NULL if fields.get("result", NULL) is None else fields.get("result"),
        size=optional(fields, "size", field.whole_int),
    )


def transid_parts(value: Any) -> TransidParts | None:
    """Read `[id, start, extraLogging?, parent?]`; `None` when it is malformed."""
    match value:
        case [str(id_), start] if is_number(start):
            return TransidParts(id_, epoch_millis(start), False, None)
        case [str(id_), start, bool(extra_logging)] if is_number(start):
            return TransidParts(id_, epoch_millis(start), extra_logging, None)
        case [str(id_), start, bool(extra_logging), parent] if is_number(start):
            return TransidParts(id_, epoch_millis(start), extra_logging, parent)
        case [str(id_), start, parent] if is_number(start):
            return TransidParts(id_, epoch_millis(start), False, parent)
    return None


def asks_for_extra_logging(transid: Any) -> bool:
    """Whether a decoded transid is well-formed and has the flag of `X-OW-EXTRA-LOGGING`."""
    parts = transid_parts(transid)
    return parts is not None and parts.extra_logging


def _activation(fields: Mapping[str, Any]) -> ActivationFields:
    return ActivationFields(
        namespace=required(fields, "namespace", field.owned_path),
        name=required(fields, "name", field.entity_name),
        subject=required(fields, "subject", field.subject),
        activation_id=required(fields, "activationId", field.activation_id),
        start=required(fields, "start", epoch_millis),
        end=required(fields, "end", epoch_millis),
        response=required(fields, "response", _response),
        logs=required(fields, "logs", field.texts),
        version=required(fields, "version", field.version),
        publish=required(fields, "publish", field.boolean),
        annotations=required(fields, "annotations", _annotations),
        cause=optional(fields, "cause", field.activation_id),
        duration=optional(fields, "duration", field.whole_long),
    )


def _response(value: Any) -> ResponseFields:
    try:
        return read_response(field.json_object(value))
    except FieldError as error:
        raise FieldError(f"is malformed: {error}") from None


def _annotations(value: Any) -> dict[str, Any]:
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        raise FieldError("must be an array")
    return dict(read_annotation(item) for item in value)


def read_annotation(item: Any) -> tuple[str, Any]:
    """Key and value, by the rules of OpenWhisk's `Parameters`; raises `FieldError`.

    Its reader lines up whichever of the four fields are there, and looks at their places: so an
    annotation without `key` passes when another field stands in for it.
    """
    fields = item if isinstance(item, Mapping) else {}
    match [fields[name] for name in ("key", "value", "init", "encryption") if name in fields]:
        case [str(key), value] if "value" in fields:
            return key, value
        case [str(key), value, bool()] | [str(key), value, bool(), str() | None]:
            return key, value
        case [str(key), value, str()] if "value" in fields and "encryption" in fields:
            return key, value
    raise FieldError('must hold only objects {"key": string, "value": any}')
