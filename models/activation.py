"""OpenWhisk's activation record (`WhiskActivation`)."""

from collections.abc import Mapping
from typing import Any, Self

import faust

from models.fields import NULL
from models.logs import LogLine
from models.reading import read_activation, read_response


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
        return cls(**read_response(fields))

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
        read = read_activation(fields)
        return cls(**read | {"response": ActivationResponse(**read["response"])})

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
