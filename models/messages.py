"""OpenWhisk's three acknowledgement messages, in both versions."""

from collections.abc import Mapping
from typing import Any, Self

import faust
import msgspec

from models import fields as field
from models.activation import Activation
from models.fields import optional, required
from models.instances import Instance, instance_from_wire
from models.transid import TransactionId
from models.wire import INSTANCE_FIELD, Version

# Faust's own codecs know no Decimal and no way to leave a field out: messages are encoded here.
_encoder = msgspec.json.Encoder(decimal_format="number")


class ResultMessage(faust.Record, include_metadata=False):
    """The result of an activation: its record, or only its id where the record was left out."""

    transid: TransactionId
    response: Activation | str

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Self:
        """Read the message; raises `FieldError`, or `RecordError` for what is in the record."""
        return cls(
            transid=required(fields, "transid", TransactionId.from_wire),
            response=_response(fields),
        )

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object."""
        return {
            "transid": self.transid.to_wire(version),
            "response": _response_to_wire(self.response),
        }


class CombinedCompletionAndResultMessage(faust.Record, include_metadata=False):
    """The result, and the news that the invoker is free again."""

    transid: TransactionId
    response: Activation | str
    instance: Instance
    is_system_error: bool | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Self:
        """Read the message; raises `FieldError`, or `RecordError` for what is in the record."""
        return cls(
            transid=required(fields, "transid", TransactionId.from_wire),
            instance=_instance(fields),
            is_system_error=optional(fields, "isSystemError", field.boolean),
            response=_response(fields),
        )

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object."""
        return {
            "transid": self.transid.to_wire(version),
            "response": _response_to_wire(self.response),
        } | _completion(self, version)


class CompletionMessage(faust.Record, include_metadata=False):
    """The news that the invoker is free again; the result travels elsewhere."""

    transid: TransactionId
    activation_id: str
    instance: Instance
    is_system_error: bool | None = None

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any]) -> Self:
        """Read the message; raises `FieldError`."""
        return cls(
            transid=required(fields, "transid", TransactionId.from_wire),
            activation_id=required(fields, "activationId", field.activation_id),
            instance=_instance(fields),
            is_system_error=optional(fields, "isSystemError", field.boolean),
        )

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object."""
        return {
            "transid": self.transid.to_wire(version),
            "activationId": self.activation_id,
        } | _completion(self, version)


Message = ResultMessage | CombinedCompletionAndResultMessage | CompletionMessage


def message_from_wire(value: Any) -> Message:
    """Read a decoded message of either version; raises `FieldError`.

    What tells the kinds apart is which fields are there (`AcknowledgementMessage.serdes`).
    """
    if not isinstance(value, Mapping):
        raise field.FieldError("a message must be an object")
    acknowledges = any(name in value for name in INSTANCE_FIELD.values())
    if acknowledges and "response" in value:
        return CombinedCompletionAndResultMessage.from_wire(value)
    if acknowledges:
        return CompletionMessage.from_wire(value)
    return ResultMessage.from_wire(value)


def encode(message: Message, version: Version = Version.CURRENT) -> bytes:
    """The value of the Kafka record that OpenWhisk of this version would write."""
    return _encoder.encode(message.to_wire(version))


def _instance(fields: Mapping[str, Any]) -> Instance:
    version = Version.CURRENT if INSTANCE_FIELD[Version.CURRENT] in fields else Version.V2019
    return required(
        fields, INSTANCE_FIELD[version], lambda value: instance_from_wire(value, version)
    )


def _response(fields: Mapping[str, Any]) -> Activation | str:
    if required(fields, "response", field.response_kind) == "id":
        return required(fields, "response", field.activation_id)
    return Activation.from_wire(fields["response"])


def _response_to_wire(response: Activation | str) -> dict[str, Any] | str:
    return response if isinstance(response, str) else response.to_wire()


def _completion(
    message: CombinedCompletionAndResultMessage | CompletionMessage, version: Version
) -> dict[str, Any]:
    fields: dict[str, Any] = {INSTANCE_FIELD[version]: message.instance.to_wire(version)}
    if message.is_system_error is not None:
        fields["isSystemError"] = message.is_system_error
    return fields
