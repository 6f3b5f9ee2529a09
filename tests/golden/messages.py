"""Reads OpenWhisk's messages into the models that write them. Trusts them to be well-formed."""

from collections.abc import Mapping
from typing import Any

from models.activation import Activation
from models.instances import ControllerInstance, Instance, InvokerInstance, SchedulerInstance
from models.messages import (
    CombinedCompletionAndResultMessage,
    CompletionMessage,
    Message,
    ResultMessage,
)
from models.transid import TransactionId
from models.wire import INSTANCE_FIELD, Version


def message_of(fields: Mapping[str, Any]) -> Message:
    """The message of either version with these fields.

    What tells the kinds apart is which fields are there (`AcknowledgementMessage.serdes`).
    """
    transid = TransactionId.from_wire(fields["transid"])
    found = [version for version, name in INSTANCE_FIELD.items() if name in fields]
    if not found:
        return ResultMessage(transid=transid, response=_response(fields["response"]))
    instance = _instance(fields[INSTANCE_FIELD[found[0]]], found[0])
    is_system_error = fields.get("isSystemError")
    if "response" in fields:
        return CombinedCompletionAndResultMessage(
            transid=transid,
            response=_response(fields["response"]),
            instance=instance,
            is_system_error=is_system_error,
        )
    return CompletionMessage(
        transid=transid,
        activation_id=fields["activationId"],
        instance=instance,
        is_system_error=is_system_error,
    )


def _response(value: Any) -> Activation | str:
    return value if isinstance(value, str) else Activation.from_wire(value)


def _instance(fields: Mapping[str, Any], version: Version) -> Instance:
    """A scheduler writes no `instanceType`, and nothing of 2019 does."""
    kind = "invoker" if version is Version.V2019 else fields.get("instanceType", "scheduler")
    match kind:
        case "controller":
            return ControllerInstance(name=fields["asString"])
        case "scheduler":
            return SchedulerInstance(name=fields["asString"])
    return InvokerInstance(
        instance=int(fields["instance"]),
        user_memory=fields["userMemory"],
        unique_name=fields.get("uniqueName"),
        displayed_name=fields.get("displayedName"),
        busy_memory=fields.get("busyMemory"),
        tags=fields.get("tags", ()),
        dedicated_namespaces=fields.get("dedicatedNamespaces", ()),
    )
