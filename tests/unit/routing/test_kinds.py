"""Which messages hold something to store, by the fields that they have."""

from typing import Any

import pytest

from app.routing import Decision, Reject, Skip, Store
from models.reasons import RejectReason, SkipReason
from models.roles import TopicRole
from tests.unit.routing.messages import (
    ACTIVATION_ID,
    INVOKER,
    INVOKER_2019,
    encode,
    message,
    record,
    routed,
)

CONTROLLER = {"asString": "0", "instanceType": "controller"}
ACKNOWLEDGED = Skip(SkipReason.ACKNOWLEDGEMENT)


def completion(**fields: Any) -> bytes:
    return encode({"transid": ["t", 1], "activationId": ACTIVATION_ID} | fields)


def rejected(decision: Decision) -> RejectReason | None:
    return decision.reason if isinstance(decision, Reject) else None


@pytest.mark.parametrize("role", TopicRole)
def test_every_kind_is_taken_on_every_topic(role: TopicRole) -> None:
    assert isinstance(routed(message(record()), role), Store)
    assert isinstance(routed(message(record(), instance=INVOKER), role), Store)
    assert routed(message(ACTIVATION_ID), role) == Skip(SkipReason.NO_RECORD)
    assert routed(completion(invoker=INVOKER_2019), role) == ACKNOWLEDGED


@pytest.mark.parametrize(
    "instance",
    [
        INVOKER,
        INVOKER | {"uniqueName": "a", "displayedName": None, "busyMemory": "2 g"},
        CONTROLLER,
        {"asString": "0"},  # a scheduler's, which OpenWhisk's own reader does not take
    ],
)
def test_instances_of_current_openwhisk(instance: dict[str, Any]) -> None:
    assert routed(completion(instance=instance)) == ACKNOWLEDGED


@pytest.mark.parametrize(
    "instance",
    [
        None,
        "0",
        {},
        INVOKER_2019,
        INVOKER | {"instance": "0"},
        INVOKER | {"instance": 0.5},
        INVOKER | {"instance": 2**31},
        INVOKER | {"userMemory": "much"},
        INVOKER | {"userMemory": 1024},
        INVOKER | {"tags": None},
        INVOKER | {"instanceType": "scheduler"},
        CONTROLLER | {"asString": "a b"},
        {"asString": "x" * 129},
    ],
)
def test_malformed_instances(instance: object) -> None:
    assert rejected(routed(completion(instance=instance))) is RejectReason.NOT_A_MESSAGE
    assert rejected(routed(message(record(), instance=instance))) is RejectReason.NOT_A_MESSAGE


def test_in_2019_only_invokers_acknowledge() -> None:
    assert routed(completion(invoker=INVOKER_2019)) == ACKNOWLEDGED
    assert rejected(routed(completion(invoker=CONTROLLER))) is RejectReason.NOT_A_MESSAGE


@pytest.mark.parametrize("is_system_error", [True, False, None])
def test_is_system_error_may_be_missing_or_null(*, is_system_error: bool | None) -> None:
    assert routed(completion(instance=INVOKER, isSystemError=is_system_error)) == ACKNOWLEDGED
    assert routed(completion(instance=INVOKER)) == ACKNOWLEDGED


def test_is_system_error_of_another_type_makes_no_acknowledgement() -> None:
    decision = routed(completion(instance=INVOKER, isSystemError="false"))

    assert rejected(decision) is RejectReason.NOT_A_MESSAGE


def test_is_system_error_means_nothing_in_a_result_message() -> None:
    assert isinstance(routed(message(record(), isSystemError="whatever")), Store)


@pytest.mark.parametrize("transid", [None, 1, [], ["t"], [1, 1], ["t", 1, 2, 3, 4], {}])
def test_a_malformed_transid_is_an_unknown_one(transid: object) -> None:
    assert isinstance(routed(message(record(), transid=transid)), Store)


def test_a_missing_transid_is_an_error() -> None:
    decision = routed(encode({"response": record()}))

    assert decision == Reject(RejectReason.NOT_A_MESSAGE, "transid is missing")


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b"[]",
        b'"health"',
        b"1",
        b"null",
        encode({"transid": ["t", 1]}),
        encode({"transid": ["t", 1], "instance": INVOKER}),
        completion(instance=INVOKER, activationId="short"),
        message(None),
        message(ACTIVATION_ID.upper()),
        message([record()]),
    ],
)
def test_other_json_is_not_a_message(value: bytes) -> None:
    assert rejected(routed(value)) is RejectReason.NOT_A_MESSAGE


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"ping",
        b"{",
        b'{"a":1,}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":"\x01"}',
        b'{"a":"\\x"}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a":1}',
        b"\x00",
        message(record()) + b" x",
        message(record()).replace(b"Hello", b"\xff"),
        message(record(), raw="").replace(b"Hello", b"\x1f"),
    ],
)
def test_what_is_not_json(value: bytes | None) -> None:
    assert rejected(routed(value)) is RejectReason.NOT_JSON
