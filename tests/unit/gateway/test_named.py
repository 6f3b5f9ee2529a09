"""The ids in a body are found, whatever else is in it."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openwhisk.gateway.named import ids_in
from openwhisk.gateway.targets import Named
from openwhisk.gateway.turns import Turns

DEEP = b"[" * 5000 + b"]" * 5000


async def found(body: bytes, named: Named) -> list[str] | None:
    return await Turns().run("a client", ids_in(body, named, lambda id_: id_ != "other"))


@pytest.mark.parametrize(
    "body,ids",
    [
        (b'{"docs":[{"_id":"a"},{"_id":"b","_deleted":true}]}', ["a", "b"]),
        (b'{"w":2,"docs":[{"_id":"a"}],"all_or_nothing":true}', ["a"]),
        (b'{"new_edits":false,"docs":[{"_id":"a"}]}', ["a"]),
        (b'{"docs":[{"_id":"a"}],"docs":[{"_id":"b"}]}', ["a", "b"]),
        (b' {\n"docs" : [ 1, [{"_id":"x"}] , {"_id" : "a"} , {} ] } ', ["a"]),
        (b'{"x":{"docs":[{"_id":"x"}]},"docs":{"_id":"x"}}', []),
        (b'{"\\u0064ocs":[{"\\u005fid":"\\u0061"}]}', ["a"]),
        (b'{"docs":[{"x":%b,"_id":"a"}],"y":%b}' % (DEEP, DEEP), ["a"]),
        (b'{"docs":[%b{"_id":%b"a"%b}%b]%b}' % ((b" " * 9999,) * 5), ["a"]),
        (b'{"docs":[{"_id":"%b"},{"_id":"a"}]}' % (b"x" * 99_999), ["a"]),
        (b'{"%b":1,"docs":[{"_id":"a"}]}' % (b"x" * 99_999), ["a"]),
        (b'{"docs":[{"_id":"other"},{"_id":"a"},{"_id":"a"}]}', ["a"]),
        (b'{"docs":[{"_id":"a"},{"_id"', ["a"]),
        (b'{"docs":[]}', []),
        (b'[{"_id":"x"}]', []),
        (b"\xff", []),
        (b"", []),
    ],
)
async def test_ids_of_documents_are_found(body: bytes, ids: list[str]) -> None:
    assert await found(body, Named.DOCS) == ids


@pytest.mark.parametrize(
    "body",
    [
        b'{"docs":[%b{"_id":"a"}]}' % (b" " * 99_999),
        b'{"docs"%b:[{"_id":"a"}]}' % (b" " * 99_999),
        b'{"x":%b,"docs":[{"_id":"a"}]}' % (b"1" * 1000),
        b'{"x":[%b1],"docs":[{"_id":"a"}]}' % (b"[]," * 300_000),
        b'{"docs":[{"_id":"a"},{"x":[%b1]}]}' % (b"[]," * 300_000),
    ],
)
async def test_of_more_than_is_looked_at_no_ids_can_be_said(body: bytes) -> None:
    assert await found(body, Named.DOCS) is None


@given(st.lists(st.text(max_size=5), max_size=5), st.sampled_from([None, 0, 2]))
def test_any_ids_are_found(ids: list[str], indent: int | None) -> None:
    expected = list(dict.fromkeys(id_ for id_ in ids if id_ != "other"))
    docs = json.dumps({"docs": [{"a": [], "_id": id_} for id_ in ids]}, indent=indent)
    assert asyncio.run(found(docs.encode(), Named.DOCS)) == expected
    purge = json.dumps({id_: ["1-a"] for id_ in expected}, indent=indent)
    assert asyncio.run(found(purge.encode(), Named.NAMES)) == expected
    for id_ in expected:
        one = json.dumps({"a": {"_id": "x"}, "_id": id_}, indent=indent).encode()
        assert asyncio.run(found(one, Named.ONE)) == [id_]


@pytest.mark.parametrize("named", Named)
@pytest.mark.parametrize(
    "unit",
    [b'{"_id":"a"},', b'"":1,', b"[", b'{"a":', b'"\\', b" ", b"{},", b"1,", b'"",', b"[],"],
)
def test_what_is_looked_at_is_bounded(named: Named, unit: bytes) -> None:
    """Each step is a thousand brackets or members, or 64 KB, at most."""
    body = b'{"docs":[' + unit * (256 * 1024 // len(unit))
    looked: list[str] = []

    def wanted(id_: str) -> bool:
        looked.append(id_)
        return True

    for begin in (0, 9):
        steps = sum(1 for _ in ids_in(body[begin:], named, wanted, members=5000))
        assert steps <= 5 + 263 + 5
    assert len(looked) <= 2 * 5000


async def test_items_that_are_no_documents_are_counted_too() -> None:
    body = b'{"docs":[%b{"_id":"a"}]}' % (b"1," * 9998)
    for members, ids in ((10_001, ["a"]), (10_000, None)):
        steps = ids_in(body, Named.DOCS, bool, members=members)
        assert await Turns().run("a client", steps) == ids
    assert sum(1 for _ in ids_in(body, Named.DOCS, bool)) >= 10
