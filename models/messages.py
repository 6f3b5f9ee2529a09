"""OpenWhisk's three acknowledgement messages, written as either version does.

They are read in `app.routing`, which decodes no more of one than it needs.
"""

from typing import Any

import faust
import msgspec

from models.activation import Activation
from models.instances import Instance
from models.transid import TransactionId
from models.wire import INSTANCE_FIELD, Version

# Faust's own codecs know no Decimal and no way to leave a field out: messages are encoded here.
_encoder = msgspec.json.Encoder(decimal_format="number")


class ResultMessage(faust.Record, include_metadata=False):
    """The result of an activation: its record, or only its id where the record was left out."""

    transid: TransactionId
    response: Activation | str

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

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object."""
        return {
            "transid": self.transid.to_wire(version),
            "activationId": self.activation_id,
        } | _completion(self, version)


Message = ResultMessage | CombinedCompletionAndResultMessage | CompletionMessage


def encode(message: Message, version: Version = Version.CURRENT) -> bytes:
    """The value of the Kafka record that OpenWhisk of this version would write."""
    return _encoder.encode(message.to_wire(version))


def _response_to_wire(response: Activation | str) -> dict[str, Any] | str:
    return response if isinstance(response, str) else response.to_wire()


def _completion(
    message: CombinedCompletionAndResultMessage | CompletionMessage, version: Version
) -> dict[str, Any]:
    fields: dict[str, Any] = {INSTANCE_FIELD[version]: message.instance.to_wire(version)}
    if message.is_system_error is not None:
        fields["isSystemError"] = message.is_system_error
    return fields
