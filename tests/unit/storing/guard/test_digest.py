"""What counts as the same record."""

import tracemalloc
from typing import cast

import pytest

from app.routing import Store, route
from app.settings import RoutingSettings
from app.storing.guard.digest import identify
from models.reserved import ReservedError
from models.roles import TopicRole
from tests.unit.routing.messages import encode, record

A, B = "guest/" + "a" * 32, "guest/" + "b" * 32


def content(fields: str) -> bytes:
    return identify(f'{{"_id":"{A}","value":{fields}}}'.encode())[1]


def test_the_id_is_returned() -> None:
    assert identify(f'{{"_id":"{A}"}}'.encode())[0] == A


def test_the_same_record_twice_is_the_same_whenever_it_came() -> None:
    first, second = (f'{{"updated":{time},"_id":"{A}","x":1}}'.encode() for time in (1, 22))
    assert identify(first) == identify(second)


def test_nothing_but_what_stands_in_updated_is_left_out() -> None:
    written = [
        f'{{"updated":1,"_id":"{A}","x":1}}',
        f'{{"updated":1,"_id":"{B}","x":1}}',
        f'{{"updated":1,"_id":"{A}","x":2}}',
        f'{{"x":1,"_id":"{A}","updated":1}}',
        f'{{"updated":[1,"_id"],"_id":"{A}","x":1}}',
        f'{{ "updated":1,"_id":"{A}","x":1}}',
        f'{{"_id":"{A}","x":1}}',
    ]
    assert len({identify(document.encode())[1] for document in written}) == len(written)


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


LARGE = '"logs":["' + "x" * 70_000 + '"]'


@pytest.mark.parametrize("start", ['"updated":1,', "", ' "updated":1, '])
@pytest.mark.parametrize("more", ['"x":1', LARGE, '"logs":["say \\"hello\\""]', '"a_b":"_"'])
@pytest.mark.parametrize(
    "field",
    [
        '"_rev":"1-a"',
        '"_deleted":true',
        '"_attachments":{}',
        '"_new":1',
        '"_":1',
        '"\\u005frev":"1-a"',
        '"\\u005Fdeleted":true',
        '"_\\ud800":1',
        ' "_rev" : "1-a"',
        '"_id":"_design/a"',
        '"\\u005fid":"_design/a"',
        '"_rev":' + "[" * 990 + "]" * 990,
    ],
)
def test_what_couchdb_keeps_to_itself_is_refused(start: str, more: str, field: str) -> None:
    """Whoever may write to the internal topic could else delete documents, or put them anywhere."""
    for fields in (f'{start}"_id":"{A}",{more},{field}', f'{start}{field},"_id":"{A}",{more}'):
        if "id" in field and fields.endswith(more):
            continue  # of equal names the last counts
        with pytest.raises(ReservedError, match=r"keeps names|its _id"):
            identify(f"{{{fields}}}".encode())


@pytest.mark.parametrize("start", ['"updated":1,', "", ' "updated":1, '])
@pytest.mark.parametrize(
    "other",
    [
        "",
        "a",
        "guest/a",
        "a" * 32,
        "/" + "a" * 32,
        "guest/" + "A" * 32,
        "guest/" + "a" * 33,
        "guest/" + "a" * 32 + "/",
        "guest//" + "a" * 32,
        "_design/" + "a" * 32,
        "guest /" + "a" * 32,
        "g\\u0000/" + "a" * 32,
        "g\\u001b[31m/" + "a" * 32,
        "g\u00e4ste/" + "a" * 32,
        "g" * 257 + "/" + "a" * 32,
        "g" * 100_000,
    ],
)
def test_an_id_that_routing_does_not_make_is_refused(start: str, other: str) -> None:
    with pytest.raises(ReservedError, match="its _id is not"):
        identify(f'{{{start}"_id":"{other}","x":1}}'.encode())


@pytest.mark.parametrize("start", ['"updated":1,', "", ' "updated":1, '])
@pytest.mark.parametrize(
    "namespace",
    [
        "guest",
        "a",
        "9",
        "g" * 256,
        "me@example.org",
        "a name & another.one-too",
        "a_b",
        "guest/package/_x",
        "a/" * 400 + "b",
    ],
)
@pytest.mark.parametrize(
    "more",
    [
        '"x":"_rev"',
        '"x":{"_rev":1,"\\u005fdeleted":true}',
        '"x":"\\"_rev\\":"',
        '"x_":"\\u005f"',
        '"x":["_a",' + LARGE[7:] + "]",
    ],
)
def test_what_an_activation_may_hold_is_no_obstacle(start: str, namespace: str, more: str) -> None:
    document_id = f"{namespace}/{'a' * 32}"
    assert identify(f'{{{start}"_id":"{document_id}",{more}}}'.encode())[0] == document_id


def test_an_id_of_very_many_names_takes_little_memory() -> None:
    document = b'{"_id":"%b%032x"}' % (b"guest/" * 20_000, 1)
    with pytest.raises(ReservedError):
        identify(document.replace(b"guest/g", b"guest//g", 1))
    tracemalloc.start()
    try:
        identify(document)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(document)
