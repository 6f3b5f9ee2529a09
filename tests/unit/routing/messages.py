"""Messages to route: one good record, and what is changed in it."""

import json
from typing import Any

from app.routing import Decision, route
from app.settings import RoutingSettings
from models.roles import TopicRole

ACTIVATION_ID = "0123456789abcdef0123456789abcdef"
UPDATED = 1_767_325_446_000
INVOKER_2019 = {"instance": 0, "userMemory": "1024 MB"}
INVOKER = INVOKER_2019 | {"instanceType": "invoker", "tags": [], "dedicatedNamespaces": []}

RAW = "<raw>"
"""Stands in a message where `raw` is put in."""


def record(**changes: Any) -> dict[str, Any]:
    """A good activation record with some fields set."""
    return {
        "namespace": "guest",
        "name": "hello",
        "subject": "guest",
        "activationId": ACTIVATION_ID,
        "start": 1_767_325_445_123,
        "end": 1_767_325_445_210,
        "response": {"statusCode": 0, "result": {"greeting": "Hello"}, "size": 20},
        "logs": [],
        "version": "0.0.1",
        "publish": False,
        "annotations": [{"key": "path", "value": "guest/hello"}],
        "duration": 87,
    } | changes


def message(response: object, *, raw: str = RAW, **outer: Any) -> bytes:
    """A message around this response; `raw` is JSON to put where the string `RAW` stands."""
    fields = {"transid": ["t", 1], "response": response} | outer
    return encode(fields).replace(f'"{RAW}"'.encode(), raw.encode())


def encode(fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def routed(value: bytes | None, role: TopicRole = TopicRole.OTHERS, **rules: Any) -> Decision:
    return route(role, value, UPDATED, RoutingSettings(**rules))
