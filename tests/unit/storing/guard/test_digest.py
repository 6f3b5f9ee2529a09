"""What counts as the same record."""

from typing import cast

import pytest

from app.routing import Store, route
from app.settings import RoutingSettings
from app.storing.guard.digest import identify
from models.roles import TopicRole
from tests.unit.routing.messages import encode, record


def content(fields: str) -> bytes:
    return identify(b'{"_id":"guest/1","value":' + fields.encode() + b"}")[1]


def test_the_id_is_returned() -> None:
    assert identify(b'{"_id":"guest/1"}')[0] == "guest/1"


def test_the_same_record_twice_is_the_same_whenever_it_came() -> None:
    assert identify(b'{"updated":1,"_id":"a","x":1}') == identify(b'{"updated":22,"_id":"a","x":1}')


def test_nothing_but_what_stands_in_updated_is_left_out() -> None:
    written = [
        b'{"updated":1,"_id":"a","x":1}',
        b'{"updated":1,"_id":"b","x":1}',
        b'{"updated":1,"_id":"a","x":2}',
        b'{"x":1,"_id":"a","updated":1}',
        b'{"updated":[1,"_id"],"_id":"a","x":1}',
        b'{ "updated":1,"_id":"a","x":1}',
        b'{"_id":"a","x":1}',
    ]
    assert len({identify(document)[1] for document in written}) == len(written)


def test_a_document_as_it_is_routed_begins_with_what_is_left_out() -> None:
    message = encode({"transid": ["t", 1], "response": record()})
    odd = encode({"transid": ["t", 1], "response": record(start="2026-01-02T03:04:05Z")})
    for value in (message, odd):
        first, second = (
            cast("Store", route(TopicRole.OTHERS, value, time, RoutingSettings())).document
            for time in (1, 22)
        )
        assert first != second
        assert identify(first) == identify(second)


@pytest.mark.parametrize(
    "one,other",
    [
        ("1", "2"),
        ("1", "true"),
        ("0", "false"),
        ("null", "false"),
        ('"1"', "1"),
        ('"1.5"', "1.5"),
        ("[1,2]", "[2,1]"),
        ("12345678901234567890123", "12345678901234567890124"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("1e400", "1e401"),
        ('"\\ud800"', '"\\ud801"'),
        ('"a"', '"a "'),
        ("{}", "[]"),
        ('{"a":null}', "{}"),
    ],
)
def test_a_record_that_differs_is_another_one(one: str, other: str) -> None:
    assert content(one) != content(other)


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"{}", b'{"_id":1}', b'{"_id":"a"', b"\xff", b'{"_id":"a","x":"\xff"}'],
)
def test_what_is_no_document_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        identify(value)


@pytest.mark.parametrize("depth", [900, 960, 990, 995])
def test_deep_nesting_is_no_obstacle(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    assert content(nested) != content("[" + nested + "]")
    assert content(nested) == content(nested)
