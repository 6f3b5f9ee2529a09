import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.couchdb.comparison import difference

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
    return ("bool", value) if isinstance(value, bool) else value


@given(DOCUMENTS)
def test_a_document_equals_itself_whatever_the_order_and_the_bookkeeping(
    document: dict[str, Any],
) -> None:
    stored = {"_rev": "1-abc", "updated": 2, **shuffled(document)}
    assert difference(encode({**document, "updated": 1}), encode(stored)) is None


@given(DOCUMENTS, DOCUMENTS)
def test_equality_is_that_of_the_values(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (difference(encode(one), encode(other)) is None) == (strictly(one) == strictly(other))


@given(st.integers(min_value=2**53), st.integers(min_value=1, max_value=1000))
def test_integers_are_exact_at_any_size(number: int, more: int) -> None:
    assert difference(encode({"n": number}), encode({"n": number + more})) is not None


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
    assert difference(f'{{"v":{ours}}}'.encode(), f'{{"v":{stored}}}'.encode()) is None


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
    assert difference(f'{{"v":{ours}}}'.encode(), f'{{"v":{stored}}}'.encode()) is not None


def test_the_last_of_two_equal_keys_counts() -> None:
    assert difference(b'{"n":1,"n":2}', b'{"n":2}') is None
    assert difference(b'{"n":1,"n":2}', b'{"n":1}') is not None


def test_the_difference_names_fields_and_no_contents() -> None:
    ours, stored = b'{"a":"secret","b":1,"c":1,"updated":1}', b'{"a":"other","b":1,"d":2}'
    assert difference(ours, stored) == "differs from the stored document in: a, c, d"


def test_many_differing_fields_are_cut_short() -> None:
    ours = encode({f"field{number:02}": number for number in range(25)})
    told = difference(ours, b"{}")
    assert told is not None
    assert told.endswith("field09 and 15 more")


@pytest.mark.parametrize(
    "ours", [b"[", b"\xff", b"[1]", b'{"v":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
def test_what_cannot_be_compared_counts_as_different(ours: bytes) -> None:
    assert "compared" in str(difference(ours, b'{"v":1}'))
