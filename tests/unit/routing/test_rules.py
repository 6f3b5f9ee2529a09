"""Which acceptable records are stored."""

from typing import Any

import pytest

from app.routing import Skip, Store
from models.reasons import SkipReason
from models.roles import TopicRole
from tests.unit.routing.messages import message, record, routed

LEFT_OUT = Skip(SkipReason.STORE_LEVEL)
STORED_CODES = {
    "STORE_ALWAYS": {-1, 0, 1, 2, 3, 4},
    "STORE_FAILURES": {-1, 1, 2, 3, 4},
    "STORE_FAILURES_NOT_APPLICATION_ERRORS": {2, 3},
}


def ended_with(status_code: int, **outer: Any) -> bytes:
    return message(record(response={"statusCode": status_code}), **outer)


@pytest.mark.parametrize("level", STORED_CODES)
@pytest.mark.parametrize("status_code", [-1, 0, 1, 2, 3, 4])
@pytest.mark.parametrize("role", TopicRole)
def test_the_store_level_of_the_role_decides(role: TopicRole, status_code: int, level: str) -> None:
    applies, other = "blocking_store_level", "non_blocking_store_level"
    if role is not TopicRole.COMPLETED:
        applies, other = other, applies

    decision = routed(ended_with(status_code), role, **{applies: level})
    unaffected = routed(ended_with(status_code), role, **{other: level})

    assert isinstance(decision, Store) == (status_code in STORED_CODES[level])
    assert isinstance(decision, Store) or decision == LEFT_OUT
    assert isinstance(unaffected, Store)


@pytest.mark.parametrize(
    "transid,forced",
    [
        (["t", 1, True], True),
        (["t", 1, True, ["p", 1]], True),
        (["t", 1, True, "malformed parent"], True),
        (["t", 1, False, ["p", 1, True]], False),
        (["t", 1, ["p", 1, True]], False),
        (["true", 1], False),
        (["t", "1", True], False),
        ([1, 1, True], False),
        (["t", 1, True, None, None], False),
        ({"true": True}, False),
    ],
)
@pytest.mark.parametrize("role", TopicRole)
def test_extra_logging_overrides_both_levels(
    role: TopicRole, transid: Any, *, forced: bool
) -> None:
    levels = {
        "blocking_store_level": "STORE_FAILURES",
        "non_blocking_store_level": "STORE_FAILURES",
    }

    decision = routed(ended_with(0, transid=transid), role, **levels)

    assert isinstance(decision, Store) == forced


def test_an_excluded_namespace_is_left_out_even_with_extra_logging() -> None:
    value = message(record(namespace="noisy"), transid=["t", 1, True])

    assert routed(value, excluded_namespaces="noisy,other") == Skip(SkipReason.EXCLUDED_NAMESPACE)
    assert isinstance(routed(value, excluded_namespaces="nois,noisyer"), Store)


def test_a_bad_record_is_rejected_before_any_rule() -> None:
    value = message(record(namespace="noisy", logs=None))

    assert not isinstance(routed(value, excluded_namespaces="noisy"), Skip)
