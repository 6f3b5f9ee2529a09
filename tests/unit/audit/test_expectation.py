"""What the audit expects is what OpenWhisk's own store wrote, and what the worker makes of it."""

import json
import tracemalloc
from typing import Any

import pytest

from app.audit.content import MOST_VALUES, NOT_COMPARED, content, document_content, many_values
from app.audit.expectation import Expected, Finished, LeftOut, Unusable, expectation
from app.routing import Reject, Skip, Store, route
from app.settings import RoutingSettings, StoreLevel
from models.reasons import SkipReason
from models.roles import TopicRole
from tests.golden import Case, cases
from tests.integration.support.records import INVOKER, Records, encode, result

RULES = RoutingSettings()
NOW = 1_767_325_446_000
KINDS = {Expected: Store, LeftOut: Skip, Finished: Skip, Unusable: Reject}
ID = "0123456789abcdef0123456789abcdef"


def agree(role: TopicRole, value: bytes | None, rules: RoutingSettings = RULES) -> Any:
    """The audit's opinion, after comparing it with the worker's."""
    expected, routed = expectation(role, value, rules), route(role, value, NOW, rules)
    assert isinstance(routed, KINDS[type(expected)])
    if isinstance(expected, Expected) and isinstance(routed, Store):
        document_id, stored = document_content(routed.document)
        assert document_id == expected.document_id
        assert expected.fields is not None
        assert stored == content(expected.fields, value or b"")
    return expected


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_documents_of_openwhisk_itself_are_expected(case: Case) -> None:
    expected = agree(TopicRole.COMPLETED, case.message)
    if case.document is not None:
        assert isinstance(expected, Expected)
        assert expected.fields is not None
        assert expected.document_id == case.document["_id"]
        assert expected.fields.keys() == case.document.keys() - {"_id"}
        assert expected.fields["start"] == int(case.document["start"].text)


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "2026-01-02T03:04:05.678901234Z", "end": "1969-12-31T23:59:59.999Z"},
        {"namespace": "/guest//team/"},
        {"_id": "x", "entityType": "y", "updated": 1, "added": {"by": "a newer version"}},
        {"response": {"statusCode": 0, "result": {"big": 10**30, "float": 1e-7}}},
    ],
)
def test_unusual_records_become_the_same_document(changes: dict[str, Any]) -> None:
    expected = agree(TopicRole.OTHERS, result(Records(1).one(**changes)))
    assert isinstance(expected, Expected)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"junk",
        b"\xff",
        b"[]",
        b'{"transid":["x",1]}',
        result({"activationId": ID}),
        result(Records(1).one(_rev="1-x")),
        result(Records(1).one(activationId=ID.upper())),
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_stored_must_be_a_dead_letter(value: bytes | None) -> None:
    assert isinstance(agree(TopicRole.OTHERS, value), Unusable)


def test_the_activation_of_an_unusable_record_is_told_if_it_can_be() -> None:
    broken = result({"activationId": ID})
    assert expectation(TopicRole.OTHERS, broken, RULES) == Unusable(ID)
    assert expectation(TopicRole.OTHERS, b"junk", RULES) == Unusable(None)


@pytest.mark.parametrize(
    "message",
    [
        {"transid": ["x", 1], "response": ID},
        {"transid": ["x", 1], "response": ID, "instance": INVOKER, "isSystemError": False},
        {"transid": ["x", 1], "activationId": ID, "instance": INVOKER},
    ],
)
def test_acknowledgements_tell_that_an_activation_has_ended(message: object) -> None:
    assert agree(TopicRole.COMPLETED, encode(message)) == Finished(ID)


@pytest.mark.parametrize("role", list(TopicRole))
@pytest.mark.parametrize("level", list(StoreLevel))
@pytest.mark.parametrize("status", [0, 1, 2, 3])
@pytest.mark.parametrize("extra_logging", [False, True])
def test_store_levels_leave_out_what_the_worker_leaves_out(
    *, role: TopicRole, level: StoreLevel, status: int, extra_logging: bool
) -> None:
    record = Records(2).one(response={"statusCode": status})
    transid = ["x", 1, extra_logging]
    for rules in (
        RoutingSettings(blocking_store_level=level),
        RoutingSettings(non_blocking_store_level=level),
    ):
        expected = agree(role, result(record, transid=transid), rules)
        if extra_logging:
            assert isinstance(expected, Expected)


def test_excluded_namespaces_are_left_out_even_with_extra_logging() -> None:
    rules = RoutingSettings(excluded_namespaces=frozenset({"guest"}))
    record = Records(3).one(namespace="guest")
    value = encode({"transid": ["x", 1, True], "response": record})
    found = agree(TopicRole.OTHERS, value, rules)
    assert found == LeftOut(record["activationId"], SkipReason.EXCLUDED_NAMESPACE)
    assert json.loads(value)["response"]["namespace"] == "guest"


def many(value: str, count: int | None = None) -> bytes:
    """A record with so many of a value; with somewhat too many without a count."""
    repeated = count or (MOST_VALUES + 2000) // sum(value.count(mark) for mark in "[{,") + 1
    more = b'"more":[%b0],"logs"' % (value.encode() * repeated)
    return result(Records(1).one()).replace(b'"logs"', more)


@pytest.mark.parametrize("value", ["1,", "[],", '{"a":1},', '"a",', "[[[[1]]]],"])
def test_of_too_many_values_only_the_place_is_expected(value: str) -> None:
    message = many(value)
    record = json.loads(message)["response"]
    expected = expectation(TopicRole.OTHERS, message, RULES)
    assert expected == Expected(
        record["activationId"], f"{record['namespace']}/{record['activationId']}", None
    )
    routed = route(TopicRole.OTHERS, message, NOW, RULES)
    assert isinstance(routed, Store)
    assert document_content(routed.document) == (expected[1], NOT_COMPARED)


def test_too_many_values_that_are_left_out_or_none() -> None:
    rules = RoutingSettings(excluded_namespaces=frozenset({"guest"}))
    left_out = expectation(TopicRole.OTHERS, many("1,"), rules)
    assert isinstance(left_out, LeftOut)
    assert left_out.activation_id == json.loads(many("1,"))["response"]["activationId"]
    assert isinstance(
        expectation(TopicRole.OTHERS, b"[%b0]" % (b"1," * MOST_VALUES), RULES), Unusable
    )


def test_what_stands_in_strings_is_no_value() -> None:
    message = many('"[,{,",', 100_000)
    assert not many_values(message)
    expected = expectation(TopicRole.OTHERS, message, RULES)
    assert isinstance(expected, Expected)
    assert expected.fields is not None


@pytest.mark.parametrize("value", ["1,", "1e1,", '"\\",', '"",'])
def test_no_record_takes_much_memory(value: str) -> None:
    message = many(value, MOST_VALUES + 2000)
    tracemalloc.start()
    try:
        expectation(TopicRole.OTHERS, message, RULES)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(message)
    finally:
        tracemalloc.stop()
