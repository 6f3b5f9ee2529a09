"""Two patches wrap how connections are made, and neither keeps the other out."""

import logging
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.api import Response

from app.kafka.patches.refused_logins import CLIENT, pause_after_refusals
from app.kafka.patches.unreadable_answers import refuse_unreadable_answers

PATCHED = (
    (AIOKafkaConnection, "connect"),
    (AIOKafkaConnection, "_handle_frame"),
    (AIOKafkaClient, "send"),
)


def layers(method: Any) -> int:
    """How often a method is wrapped."""
    found = 0
    while hasattr(method, "__wrapped__"):
        method, found = method.__wrapped__, found + 1
    return found


@pytest.fixture
def _unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in PATCHED:
        method = getattr(owner, name)
        while hasattr(method, "__wrapped__"):
            method = method.__wrapped__
        monkeypatch.setattr(owner, name, method)
    monkeypatch.setattr(Response, "decode", Response.decode)
    monkeypatch.setattr(logging.getLogger(CLIENT), "filters", [])


@pytest.mark.usefixtures("_unpatched")
@pytest.mark.parametrize("patches", permutations((pause_after_refusals, refuse_unreadable_answers)))
def test_both_are_applied_once_in_any_order(patches: tuple[Callable[[], None], ...]) -> None:
    for patch in patches * 2:
        patch()
    assert layers(AIOKafkaConnection.connect) == 2
    assert layers(AIOKafkaConnection._handle_frame) == 1
