"""OpenWhisk's instance ids: who acknowledges an activation."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import faust

from models.fields import (
    FieldError,
    byte_size,
    instance_name,
    json_object,
    optional,
    required,
    text,
    texts,
    whole_int,
)
from models.wire import Version


class InvokerInstance(faust.Record, include_metadata=False):
    """`InvokerInstanceId`; sizes are written as OpenWhisk does, `1024 MB`."""

    instance: int
    user_memory: str
    unique_name: str | None = None
    displayed_name: str | None = None
    busy_memory: str | None = None
    tags: Sequence[str] = ()
    dedicated_namespaces: Sequence[str] = ()

    @classmethod
    def from_wire(cls, fields: Mapping[str, Any], version: Version = Version.CURRENT) -> Self:
        """Read the JSON object; current invokers must give their tags and namespaces."""
        invoker = cls(
            instance=required(fields, "instance", whole_int),
            user_memory=required(fields, "userMemory", byte_size),
            unique_name=optional(fields, "uniqueName", text),
            displayed_name=optional(fields, "displayedName", text),
        )
        if version is Version.CURRENT:
            invoker.busy_memory = optional(fields, "busyMemory", byte_size)
            invoker.tags = required(fields, "tags", texts)
            invoker.dedicated_namespaces = required(fields, "dedicatedNamespaces", texts)
        return invoker

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object."""
        fields: dict[str, Any] = {"instance": self.instance, "userMemory": self.user_memory}
        if version is Version.CURRENT:
            fields["instanceType"] = "invoker"
            fields["tags"] = list(self.tags)
            fields["dedicatedNamespaces"] = list(self.dedicated_namespaces)
            if self.busy_memory is not None:
                fields["busyMemory"] = self.busy_memory
        if self.unique_name is not None:
            fields["uniqueName"] = self.unique_name
        if self.displayed_name is not None:
            fields["displayedName"] = self.displayed_name
        return fields


class ControllerInstance(faust.Record, include_metadata=False):
    """`ControllerInstanceId`."""

    name: str

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object; raises `ValueError` for 2019, where only invokers acknowledged."""
        _only_current(version)
        return {"asString": self.name, "instanceType": "controller"}


class SchedulerInstance(faust.Record, include_metadata=False):
    """`SchedulerInstanceId`."""

    name: str

    def to_wire(self, version: Version = Version.CURRENT) -> dict[str, Any]:
        """The JSON object; raises `ValueError` for 2019, which had no schedulers."""
        _only_current(version)
        return {"asString": self.name}


Instance = InvokerInstance | ControllerInstance | SchedulerInstance


def instance_from_wire(value: Any, version: Version = Version.CURRENT) -> Instance:
    """Read the instance field of an acknowledgement.

    A scheduler writes no `instanceType`. OpenWhisk's own reader fails on that; it is accepted here.
    """
    fields = json_object(value)
    if version is Version.V2019:
        return InvokerInstance.from_wire(fields, version)
    if "instanceType" not in fields:
        return SchedulerInstance(name=required(fields, "asString", instance_name))
    match fields["instanceType"]:
        case "invoker":
            return InvokerInstance.from_wire(fields, version)
        case "controller":
            return ControllerInstance(name=required(fields, "asString", instance_name))
    raise FieldError("must have the instanceType invoker or controller")


def _only_current(version: Version) -> None:
    if version is not Version.CURRENT:
        raise ValueError("only invokers acknowledge activations in OpenWhisk of 2019")
