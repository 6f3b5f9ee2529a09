import json
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.couchdb import comparison
from app.couchdb.comparison import MOST_VALUES, Same, Stored, is_large
from app.couchdb.update import update_of
from app.storing.sink import Document

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(st.text().filter(lambda name: name not in ("updated", "_rev")), JSON)


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def compare(ours: bytes, stored: bytes) -> Same | str:
    return comparison.compare(ours, Stored(stored))


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return [shuffled(item) for item in value]
    return value


def strictly(value: Any) -> Any:
    """A form in which Python's own equality tells true from 1 and does not tell 1 from 1.0."""
    if isinstance(value, dict):
        return {key: strictly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strictly(item) for item in value]
    if isinstance(value, float) and abs(value) < sys.float_info.min:
        return 0.0
    return ("bool", value) if isinstance(value, bool) else value


@given(DOCUMENTS)
def test_a_document_equals_itself_whatever_the_order_and_the_bookkeeping(
    document: dict[str, Any],
) -> None:
    stored = {"_rev": "1-abc", "updated": 2, **shuffled(document)}
    assert compare(encode({**document, "updated": 1}), encode(stored)) is Same.EQUAL


@given(DOCUMENTS, DOCUMENTS)
def test_equality_is_that_of_the_values(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (compare(encode(one), encode(other)) is Same.EQUAL) == (strictly(one) == strictly(other))


@given(st.integers(min_value=2**53), st.integers(min_value=1, max_value=1000))
def test_integers_are_exact_at_any_size(number: int, more: int) -> None:
    assert compare(encode({"n": number}), encode({"n": number + more})) is not Same.EQUAL


@pytest.mark.parametrize(
    "ours,stored",
    [
        ("1E2", "100.0"),
        ("1", "1.0"),
        ("1", "1e0"),
        ("0.1000", "0.1"),
        ("-0.0", "0"),
        ("1e-400", "0.0"),
        ("0.1234567890123456789012", "0.12345678901234568"),
        ("9" * 5000, "9" * 5000),
        (r'"\u00e9\/"', '"é/"'),
        (r'"\u0000"', r'"\u0000"'),
    ],
)
def test_a_value_as_couchdb_prints_it_again_is_the_same(ours: str, stored: str) -> None:
    assert compare(f'{{"v":{ours}}}'.encode(), f'{{"v":{stored}}}'.encode()) is Same.EQUAL


@pytest.mark.parametrize(
    "ours,stored",
    [
        ("1", "true"),
        ("true", "1"),
        ("0", "false"),
        ("0", "null"),
        ('"1"', "1"),
        ("9007199254740993", "9007199254740992"),
        ("9007199254740993", "9007199254740992.0"),
        ("9" * 5000, "9" * 4999 + "8"),
        ("[]", "{}"),
        ("[1]", "[1,1]"),
        ("[1,2]", "[2,1]"),
        ('{"a":1}', '{"a":1,"b":null}'),
    ],
)
def test_a_value_that_means_something_else_differs(ours: str, stored: str) -> None:
    assert compare(f'{{"v":{ours}}}'.encode(), f'{{"v":{stored}}}'.encode()) is not Same.EQUAL


def test_the_last_of_two_equal_keys_counts() -> None:
    assert compare(b'{"n":1,"n":2}', b'{"n":2}') is Same.EQUAL
    assert compare(b'{"n":1,"n":2}', b'{"n":1}') is not Same.EQUAL


def test_the_difference_names_fields_and_no_contents() -> None:
    ours, stored = b'{"a":"secret","b":1,"c":1,"updated":1}', b'{"a":"other","b":1,"d":2}'
    assert compare(ours, stored) == "differs from the stored document in: a, c, d"


def test_many_differing_fields_are_cut_short() -> None:
    ours = encode({f"field{number:02}": number for number in range(25)})
    told = compare(ours, b"{}")
    assert isinstance(told, str)
    assert told.endswith("field09 and 15 more")


@pytest.mark.parametrize("ours", [b"[", b"\xff", b"[1]", b'{"v":' + b"[" * 200_000])
def test_what_cannot_be_compared_counts_as_different(ours: bytes) -> None:
    assert "compared" in str(compare(ours, b'{"v":1}'))


def test_subnormal_numbers_are_zero_as_couchdb_reads_them() -> None:
    assert compare(b'{"v":[5e-324,22e-309,1e-310]}', b'{"v":[0.0,2.2e-308,1e-310]}') is Same.EQUAL
    assert compare(b'{"v":2.3e-308}', b'{"v":0.0}') is not Same.EQUAL


@pytest.mark.parametrize(
    "ours, stored, expected",
    [
        (["a line"], [], Same.OURS_HAS_LOGS),
        ([], ["a line"], Same.STORED_HAS_LOGS),
        ([], [], Same.EQUAL),
        (["a line"], ["another"], "differs from the stored document in: logs"),
        (["a line"], None, "differs from the stored document in: logs"),
        (None, [], "differs from the stored document in: logs"),
        ([], 1, "differs from the stored document in: logs"),
        ("a line", [], "differs from the stored document in: logs"),
        ({"a": "line"}, [], "differs from the stored document in: logs"),
    ],
)
def test_what_differs_only_in_logs_that_are_missing_is_the_same_record(
    ours: Any, stored: Any, expected: Same | str
) -> None:
    one, other = {"n": 1, "logs": ours}, {"n": 1, "logs": stored, "_rev": "1-x"}
    assert compare(encode(one), encode(other)) == expected
    other["n"] = 2
    assert not isinstance(compare(encode(one), encode(other)), Same)


def test_a_document_of_very_many_values_is_compared_as_it_is_written() -> None:
    """Taken apart, a few megabytes of `[],[],…` would be hundreds."""
    many: list[Any] = [[]] * MOST_VALUES
    record = {"_id": "a/b", "name": "x", "result": many, "logs": ["one"]}

    def compact(**fields: Any) -> bytes:
        return json.dumps(record | fields, separators=(",", ":")).encode()

    tracemalloc.start()
    try:
        stored = compact(_rev="1-a", updated=2)
        tracemalloc.reset_peak()
        assert compare(compact(updated=1), stored) is Same.EQUAL
        assert compare(compact(), compact(logs=[])) is Same.OURS_HAS_LOGS
        assert compare(compact(logs=[]), stored) is Same.STORED_HAS_LOGS
        assert compare(compact(name="y"), stored) == "differs from the stored document in: name"
        assert tracemalloc.get_traced_memory()[1] < 12 * len(stored)
    finally:
        tracemalloc.stop()


EMPTY = b",".join([b"[]"] * MOST_VALUES)


def large(*, more: bytes = b"", logs: bytes = b"[]", first: bytes = b'"a":1E2,"b":2') -> bytes:
    return b'{"_id":"a","logs":%b,"o":{%b},"v":[%b%b]}' % (logs, first, EMPTY, more)


@pytest.mark.parametrize(
    "ours, stored, found",
    [
        (large(), large(first=b'"a":100.0,"b":2'), Same.EQUAL),
        (large(more=b',"\\u00e4\\/"'), large(more=b' , "\xc3\xa4/"'), Same.EQUAL),
        (large(logs=b'["x"]'), large(), Same.OURS_HAS_LOGS),
        (large(), large(logs=b'["x"]'), Same.STORED_HAS_LOGS),
        (large(logs=b'["x"]'), large(logs=b'["y"]'), "differs from the stored document in: logs"),
        (large(logs=b"[ ]"), large(), Same.EQUAL),
        (large(), large(logs=b"[\n\t]"), Same.EQUAL),
        (large(logs=b'["x"]'), large(logs=b"[ ]"), Same.OURS_HAS_LOGS),
        (large(logs=b"{}"), large(logs=b"{ }"), Same.EQUAL),
        (large(logs=b"{}"), large(), "differs from the stored document in: logs"),
        (large(), large(logs=b"0"), "differs from the stored document in: logs"),
        (large(logs=b'"x"'), large(), "differs from the stored document in: logs"),
        (large(logs=b'{"x":1}'), large(), "differs from the stored document in: logs"),
        (large(more=b",[ ]"), large(more=b",[]"), Same.EQUAL),
        (large(more=b",1"), large(more=b",true"), "differs from the stored document in: v"),
        (large(more=b",[]"), large(more=b",{}"), "differs from the stored document in: v"),
        (large(more=b",[]"), large(), "differs from the stored document in: v"),
    ],
)
def test_large_documents_are_compared_as_they_are_written(
    ours: bytes, stored: bytes, found: Same | str
) -> None:
    assert is_large(ours, Stored(stored))
    assert compare(ours, stored) == found


@pytest.mark.parametrize(
    "ours, stored",
    [
        (large(), large(first=b'"b":2,"a":1E2')),
        (large(first=b'"a":1,"a":2'), large(first=b'"a":2')),
        (b"[" * MOST_VALUES + b"]" * MOST_VALUES,) * 2,
        (b"[%b]" % EMPTY,) * 2,
    ],
)
def test_a_large_document_that_would_take_much_memory_counts_as_another(
    ours: bytes, stored: bytes
) -> None:
    assert isinstance(compare(ours, stored), str)


MANY = 6000


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.couchdb.comparison.MOST_VALUES", MANY)
    monkeypatch.setattr("app.couchdb.comparison.FIELDS_TOGETHER", 60)


def flat(
    first: int = 0, *, more: bytes = b"", logs: bytes = b'["one"]', beside: bytes = b'"n":1'
) -> bytes:
    """A document of `MANY` fields, numbered from `first` on, and a few others."""
    fields = b",".join(b'"k%d":%d' % (number, number) for number in range(first, MANY))
    return b'{"_id":"a/b",%b,"logs":%b,%b%b}' % (fields, logs, beside, more)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize(
    "ours, stored, found",
    [
        (flat(more=b',"updated":1'), flat(more=b',"updated":2,"_rev":"1-a"'), Same.EQUAL),
        (flat(), flat(1, more=b',"k0":0.0'), Same.EQUAL),
        (flat(more=b',"k7":8'), flat(more=b',"k7":8.0'), Same.EQUAL),
        (flat(beside=b'"n":0,"n":1'), flat(beside=b'"\\u006e":1'), Same.EQUAL),
        (flat(), flat(logs=b"[]"), Same.OURS_HAS_LOGS),
        (flat(logs=b"[]"), flat(), Same.STORED_HAS_LOGS),
        (flat(), flat(more=b',"k7":8'), "differs from the stored document in: k7"),
        (flat(1), flat(more=b',"a":0'), "differs from the stored document in: a, k0"),
        (flat(), flat(MANY - 1), "k1005 and 5989 more"),
    ],
)
def test_a_document_of_very_many_fields_is_compared_as_any_other(
    ours: bytes, stored: bytes, found: Same | str
) -> None:
    assert is_large(ours, Stored(stored))
    if isinstance(found, Same):
        assert compare(ours, stored) is found
    else:
        assert str(compare(ours, stored)).endswith(found)


@pytest.mark.usefixtures("few_are_many")
def test_very_many_fields_are_compared_in_little_memory() -> None:
    """Each as a string, a value and an entry of a dictionary takes thirty times its size."""
    ours, stored = flat(), flat(more=b',"_rev":"1-a"')
    assert compare(ours, stored) is Same.EQUAL
    tracemalloc.start()
    try:
        compare(ours, stored)
        assert tracemalloc.get_traced_memory()[1] < 4 * (len(ours) + len(stored))
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [400, 970, 5000])
def test_nested_documents_are_compared_whatever_their_depth(depth: int) -> None:
    def nested(number: bytes, logs: bytes = b"[]") -> bytes:
        inner = b"[" * depth + number + b"]" * depth
        return b'{"_id":"a","_rev":"3-abc","r":%b,"logs":%b}' % (inner, logs)

    assert compare(nested(b"1E2"), nested(b"100.0")) is Same.EQUAL
    assert "differs" in str(compare(nested(b"1"), nested(b"2")))
    full = nested(b"1", b'["x"]')
    assert compare(full, nested(b"1")) is Same.OURS_HAS_LOGS
    update = update_of(Document("a", full), nested(b"1"))
    assert update.body.startswith(b'{"_rev":"3-abc",')
