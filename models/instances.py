"""OpenWhisk's instance ids: who acknowledges an activation."""

from collections.abc import Sequence
from typing import Any

import faust

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


def _only_current(version: Version) -> None:
    if version is not Version.CURRENT:
        raise ValueError("only invokers acknowledge activations in OpenWhisk of 2019")
