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
    RAW,
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
def test_an_acknowledgement_may_name_any_instance_of_current_openwhisk(
    instance: dict[str, Any],
) -> None:
    assert routed(completion(instance=instance)) == ACKNOWLEDGED


ODD: list[Any] = [
    None,
    0,
    "0",
    [],
    {},
    {"instance": "0"},
    {"instanceType": "satellite", "n": 1},
    True,
    0.5,
]
"""What a part of the envelope may look like in an OpenWhisk that is not known yet."""


@pytest.mark.parametrize("name", ["instance", "invoker", "isSystemError", "transid", "another"])
@pytest.mark.parametrize("odd", ODD)
def test_whatever_the_envelope_looks_like_a_valid_record_is_stored(name: str, odd: Any) -> None:
    assert isinstance(routed(message(record(), **{name: odd})), Store)
    assert isinstance(routed(message(record(), **({"instance": INVOKER} | {name: odd}))), Store)


@pytest.mark.parametrize("field", ["instance", "invoker"])
@pytest.mark.parametrize("odd", ODD)
def test_an_acknowledgement_is_known_by_its_fields_and_not_by_what_they_hold(
    field: str, odd: object
) -> None:
    assert routed(completion(**{field: odd, "isSystemError": odd, "transid": odd})) == ACKNOWLEDGED


def test_an_acknowledgement_that_no_version_writes_may_have_both_fields() -> None:
    assert routed(completion(invoker=None, instance=None)) == ACKNOWLEDGED


def test_a_record_needs_nothing_around_it() -> None:
    assert isinstance(routed(encode({"response": record()})), Store)
    assert isinstance(routed(encode({"kind": "new", "response": record(), "more": [1]})), Store)
    assert routed(encode({"response": ACTIVATION_ID})) == Skip(SkipReason.NO_RECORD)


def test_a_broken_record_is_no_fault_of_the_envelope() -> None:
    decision = routed(message(record(logs=None), instance=None, transid=None))

    assert rejected(decision) is RejectReason.INVALID_RECORD


def test_the_envelope_may_hold_numbers_that_openwhisk_does_not_read() -> None:
    assert isinstance(routed(message(record(), raw="9" * 5000, transid=RAW)), Store)


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
        encode({"transid": ["t", 1], "activationId": ACTIVATION_ID}),
        message(None, instance=INVOKER, activationId=ACTIVATION_ID),
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
