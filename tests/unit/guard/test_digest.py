"""What counts as the same record."""

import hashlib
import json
from typing import Any

import pytest

from app.guard.digest import identify
from app.guard.index import DIGEST_SIZE


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


DOCUMENT = {
    "_id": "guest/1",
    "entityType": "activation",
    "updated": 5,
    "namespace": "guest",
    "name": "hello",
    "subject": "guest-subject",
    "activationId": "1",
    "start": 1767225600000,
    "end": 1767225600087,
    "cause": "2",
    "response": {"statusCode": 0, "size": 9, "result": {"b": [1.50, {"d": 1, "c": None}], "a": 1}},
    "logs": ["2026-01-02T03:04:05.678901234Z stdout: text"],
    "version": "0.0.1",
    "publish": False,
    "annotations": [{"key": "limits", "value": {"timeout": 60000, "logs": 10}}],
    "duration": 87,
}
"""With every field that OpenWhisk writes."""


def shuffled(value: Any) -> Any:
    """The same with its keys in the opposite order, at every depth."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in DOCUMENT.items() if name not in names}


ADDED = ("_id", "entityType", "updated")


@pytest.mark.parametrize("left_out", [name for name in DOCUMENT if name != "_id"])
def test_the_usual_document_s_content_is_that_of_any_object_sorted_by_keys(left_out: str) -> None:
    document = without(left_out)
    content = json.dumps(without(left_out, *ADDED), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(content.encode()).digest()[:DIGEST_SIZE]

    assert identify(json.dumps(document).encode()) == ("guest/1", digest)
    assert identify(json.dumps(shuffled(document)).encode()) == ("guest/1", digest)


@pytest.mark.parametrize("changed", [name for name in DOCUMENT if name not in ADDED])
@pytest.mark.parametrize("value", [None, 1, "text", {}, []])
def test_a_usual_document_that_differs_in_a_field_is_another_record(
    changed: str, value: object
) -> None:
    seen = {
        identify(json.dumps(document).encode())[1]
        for document in (DOCUMENT, without(changed), {**DOCUMENT, changed: value})
    }
    assert len(seen) == 3
