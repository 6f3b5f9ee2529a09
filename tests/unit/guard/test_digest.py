"""What counts as the same record."""

import pytest

from app.guard.digest import identify


def content(fields: str) -> bytes:
    return identify(b'{"_id":"guest/1","value":' + fields.encode() + b"}")[1]


def test_the_id_is_returned() -> None:
    assert identify(b'{"_id":"guest/1"}')[0] == "guest/1"


def test_the_order_of_keys_does_not_matter_at_any_depth() -> None:
    assert identify(b'{"_id":"a","x":{"b":[{"d":1,"c":2}],"a":1}}') == identify(
        b'{"x":{"a":1,"b":[{"c":2,"d":1}]},"_id":"a"}'
    )


def test_what_the_persister_adds_does_not_matter() -> None:
    assert (
        identify(b'{"_id":"a","entityType":"activation","updated":1,"x":1}')[1]
        == identify(b'{"x":1,"_id":"a","entityType":"activation","updated":2}')[1]
    )


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


def test_escapes_are_spelling_not_content() -> None:
    assert content('"\\u00e9\\/"') == content('"é/"')


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"_id":1}', b'{"_id":"a"', b"\xff"])
def test_what_is_no_document_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        identify(value)


@pytest.mark.parametrize("depth", [900, 960, 990, 995])
def test_deep_nesting_is_no_obstacle(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    assert content(nested) != content("[" + nested + "]")
    assert content(nested) == content(nested)
