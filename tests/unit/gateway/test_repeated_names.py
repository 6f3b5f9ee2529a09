"""Of a name that a JSON object has several times, CouchDB takes the last value, and so do we."""

import asyncio
import json
from typing import Any, Final, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from models.roles import TopicRole
from openwhisk.gateway import large
from openwhisk.gateway.counts import few_documents
from openwhisk.gateway.named import ids_in
from openwhisk.gateway.records import Taking, bulk_documents, id_of
from openwhisk.gateway.targets import Named
from openwhisk.gateway.turns import Steps, Turns
from openwhisk.gateway.writes import _may_delete
from tests.unit.gateway.doubles import document

T = TypeVar("T")

Member = tuple[str, Any]

DOCUMENT_NAMES: Final = ("_id", "_rev", "_deleted", "_attachments", "a")
BODY_NAMES: Final = ("docs", "docs", "docs", "new_edits", "w")

_ids = st.sampled_from(["guest/a", "guest/b", "", "\u00e9/c", '"', "\\"])
_values = (
    _ids
    | st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([[], {}, ["guest/x"], {"_id": "guest/x"}, [{"_id": "guest/x"}]])
)


class Members(list[Member]):
    """An object, in which names may repeat."""


def _members(names: tuple[str, ...], values: SearchStrategy[Any]) -> SearchStrategy[Members]:
    return st.lists(st.tuples(st.sampled_from(names), values), max_size=6).map(Members)


_documents = _members(DOCUMENT_NAMES, _values)
_short = _members(("_id", "a"), _values)
_bodies = _members(BODY_NAMES, _values | st.lists(_short | _values, min_size=1, max_size=4))
_purges = _members(("guest/a", "guest/b", "_id", ""), _values)
_escaped = st.integers(min_value=0, max_value=2**12 - 1)


def written(value: Any, escaped: int = 0) -> bytes:
    """A value as JSON; the bits of `escaped` say which letters of each name are escapes."""
    if isinstance(value, Members):
        members = (_name(one, escaped) + b":" + written(each, escaped) for one, each in value)
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(written(one, escaped) for one in value) + b"]"
    return json.dumps(value).encode()


def _name(name: str, escaped: int) -> bytes:
    letters = (
        f"\\u{ord(letter):04x}" if escaped >> at & 1 else json.dumps(letter)[1:-1]
        for at, letter in enumerate(name)
    )
    return f'"{"".join(letters)}"'.encode()


def read(text: bytes) -> Any:
    """What CouchDB reads, as Python does."""
    return json.loads(text)


def id_in(value: Any) -> str | None:
    """The id of what CouchDB reads."""
    document_id = value.get("_id") if isinstance(value, dict) else None
    return document_id if isinstance(document_id, str) else None


def done(steps: Steps[T]) -> T:
    return asyncio.run(Turns().run("a client", steps))


def found(body: bytes, named: Named) -> set[str] | None:
    ids = done(ids_in(body, named, lambda _: True))
    return None if ids is None else set(ids)


@given(_documents, _escaped)
def test_the_last_id_is_a_documents(members: Members, escaped: int) -> None:
    body = written(members, escaped)
    expected = id_in(read(body))
    assert id_of(body) == expected
    assert done(large.id_of(body)) == expected
    assert found(body, Named.ONE) == {expected} - {None}


@given(_bodies, _escaped)
def test_all_ids_of_the_last_documents_are_found(members: Members, escaped: int) -> None:
    """Those of earlier ones, too, which does no harm."""
    body = written(members, escaped)
    docs = read(body).get("docs")
    expected = {id_in(one) for one in docs} if isinstance(docs, list) else set()
    ids = found(body, Named.DOCS)
    assert ids is not None
    assert ids >= expected - {None}


@given(_purges, _escaped)
def test_all_names_are_found(members: Members, escaped: int) -> None:
    body = written(members, escaped)
    assert found(body, Named.NAMES) == set(read(body))


@given(_bodies, _escaped)
def test_the_last_documents_are_taken_apart(members: Members, escaped: int) -> None:
    body = written(members, escaped)
    small = bulk_documents(body) if few_documents(body) else None
    views = done(large.documents(body))
    fields = read(body)
    for documents in (small, views):
        if documents is not None:
            assert [read(bytes(one)) for one in documents] == fields["docs"]
            assert fields.get("new_edits", True) is True
            assert "w" not in fields


@given(_documents, _escaped)
def test_what_may_be_a_tombstone_is_known(members: Members, escaped: int) -> None:
    body = written(members, escaped)
    assert _may_delete(body) or not read(body).get("_deleted")


@given(st.data(), _documents, _escaped)
def test_a_record_is_what_couchdb_would_read(
    data: st.DataObject, more: Members, escaped: int
) -> None:
    fields = document()
    members = Members(data.draw(st.permutations([*fields.items(), *more])))
    body = written(members, escaped)
    record = Taking(TopicRole.OTHERS, 2**20, lambda _: None).take(body, fields["updated"])
    last = read(body)
    new = last["_id"] == fields["_id"] and not last.keys() & {"_rev", "_deleted", "_attachments"}
    assert (record is not None) == new
    if record is not None:
        assert record.id == last["_id"]
        assert read(record.message)["response"].get("a") == last.get("a")


@pytest.mark.parametrize("named", [Named.ONE, Named.DOCS])
@pytest.mark.parametrize("strange", [b'{"_id":"\\ud800"}', b'{"\\ud800":1}', b'{"_id":"\x01"}'])
def test_a_text_that_only_couchdb_may_read_may_be_any_id(named: Named, strange: bytes) -> None:
    body = strange if named is Named.ONE else b'{"docs":[%b,{"_id":"guest/a"}]}' % strange
    assert found(body, named) is None
