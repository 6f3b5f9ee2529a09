"""OpenWhisk's activation record (`WhiskActivation`)."""

from collections.abc import Mapping
from typing import Any, Self

import faust

from models import fields as field
from models.fields import NULL, FieldError, RecordError, optional, required
from models.instants import epoch_millis
from models.logs import LogLine

ENTITY_TYPE = "activation"
"""The `entityType` of an activation's document."""

ADDED_FIELDS = ("_id", "entityType", "updated")
"""What a document has more than the record; whatever the record itself says there is replaced."""

DOCUMENT_START = b'{"updated":'
"""How the persister begins a document: first what differs when the same record comes twice."""


def added_fields(document_id: str, updated: int) -> str:
    """The beginning of a document, up to where the record's own fields go.

    Args:
        document_id: `<namespace>/<activation id>`, as it stands in a JSON string.
        updated: in epoch millis.
    """
    return f'{{"updated":{updated},"_id":"{document_id}","entityType":"{ENTITY_TYPE}",'


class ActivationResponse(faust.Record, include_metadata=False):
    """How an activation ended (`ActivationResponse`)."""

    status_code: int
    """0 success, 1 application error, 2 action developer error, 3 whisk internal error."""

    result: Any = None
    """Any JSON value; `None` when there is none, `NULL` where `null` was written."""

    size: int | None = None
    """Bytes of the result, as the container sent it."""

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Self:
        """Read the JSON object; raises `FieldError`."""
        return cls(
            status_code=required(fields, "statusCode", field.whole_int),
            result=NULL if fields.get("result", NULL) is None else fields.get("result"),
            size=optional(fields, "size", field.whole_int),
        )

    def to_wire(self) -> dict[str, Any]:
        """The JSON object."""
        fields: dict[str, Any] = {"statusCode": self.status_code}
        if self.result is not None:
            fields["result"] = None if self.result is NULL else self.result
        if self.size is not None:
            fields["size"] = self.size
        return fields


class Activation(faust.Record, include_metadata=False):
    """One activation: what ran, for whom, when, and how it ended; times are epoch millis."""

    namespace: str
    name: str
    subject: str
    activation_id: str
    start: int
    end: int
    """0: not ended (triggers)."""

    response: ActivationResponse
    logs: list[str]
    """Log lines; the ids of their steps for sequences and conductors; for triggers, JSON strings
    about the rules they fired."""

    version: str
    publish: bool
    annotations: dict[str, Any]
    cause: str | None = None
    """The id of the activation that caused this one."""

    duration: int | None = None

    @property
    def document_id(self) -> str:
        """The `_id` of its document."""
        return f"{self.namespace}/{self.activation_id}"

    @property
    def lists_steps(self) -> bool:
        """Whether `logs` holds the ids of its steps: a sequence or a conductor."""
        kind, conductor = self.annotations.get("kind"), self.annotations.get("conductor")
        return kind == "sequence" or conductor is True

    def log_lines(self) -> list[LogLine]:
        """Those entries of `logs` that are log lines of the action."""
        if self.lists_steps or not self.annotations:
            return []
        return [line for entry in self.logs if (line := LogLine.parse(entry)) is not None]

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Self:
        """Read the record out of a message, by the rules of OpenWhisk's reader.

        Raises `RecordError` naming the first field that the reader would not accept.
        """
        try:
            return cls._read(fields)
        except FieldError as error:
            raise RecordError(str(error)) from None

    @classmethod
    def _read(cls, fields: Mapping[str, Any]) -> Self:
        return cls(
            namespace=required(fields, "namespace", field.entity_path),
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

    def to_wire(self) -> dict[str, Any]:
        """The JSON object inside a message; the same in both versions."""
        fields: dict[str, Any] = {
            "namespace": self.namespace,
            "name": self.name,
            "subject": self.subject,
            "activationId": self.activation_id,
            "start": self.start,
            "end": self.end,
            "response": self.response.to_wire(),
            "logs": self.logs,
            "version": self.version,
            "publish": self.publish,
            "annotations": [{"key": k, "value": v} for k, v in self.annotations.items()],
        }
        if self.cause is not None:
            fields["cause"] = self.cause
        if self.duration is not None:
            fields["duration"] = self.duration
        return fields

    def to_document(self, updated: int) -> dict[str, Any]:
        """Its document in CouchDB; `updated` in epoch millis."""
        own = {"_id": self.document_id, "entityType": ENTITY_TYPE, "updated": updated}
        return self.to_wire() | own


def _response(value: Any) -> ActivationResponse:
    try:
        return ActivationResponse.from_wire(field.json_object(value))
    except FieldError as error:
        raise FieldError(f"is malformed: {error}") from None


def _annotations(value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        raise FieldError("must be an array")
    return dict(_annotation(item) for item in value)


def _annotation(item: Any) -> tuple[str, Any]:
    """Key and value, by the rules of OpenWhisk's `Parameters`.

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
