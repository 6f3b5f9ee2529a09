"""Whatever arrives is decided about, and the two ways of reading agree."""

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.routing import Reject, Skip, Store, fast_path, slow_path
from tests.golden import cases, exactly
from tests.unit.routing.messages import message, record, routed

SEEDS = [case.message for case in cases() if len(case.message) < 1500]
PIECES = [
    b"",
    b"null",
    b'"\\ud800"',
    b"1E+400",
    b"1e99999999999999999999",
    b"NaN",
    b"{",
    b"]",
    b'"',
    b"\\",
    b"\xff",
    b"[" * 3000,
    b'"_x":1,',
    b'"start":"2026-01-02T03:04:05.1Z",',
    b'"response":{',
    b"9" * 32,
    b"9" * 120,
    b"true",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    value = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        taken = draw(st.integers(0, 40))
        value[at : at + taken] = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
    return bytes(value)


def check(value: bytes) -> None:
    decision = routed(value)
    assert isinstance(decision, Store | Skip | Reject)
    if isinstance(decision, Store):
        json.loads(decision.document)
        decision.activation_id.encode("ascii")
    found = fast_path.read(value, 7)
    if found is None:
        return
    careful = slow_path.read(value, 7)
    if isinstance(found, Skip):
        assert found == careful
        return
    assert not isinstance(careful, Skip | Reject)
    assert exactly(found.document) == exactly(careful.document)
    assert found.activation_id == careful.activation_id
    assert found.namespace == careful.namespace
    assert found.status_code == careful.status_code
    assert bytes(found.transid) == bytes(careful.transid)


@given(st.binary())
def test_both_paths_decide_the_same_of_any_bytes(value: bytes) -> None:
    check(value)


@settings(max_examples=300)
@given(mutated())
def test_both_paths_decide_the_same_of_mutated_messages(value: bytes) -> None:
    check(value)


@settings(max_examples=300)
@given(st.sampled_from([*record(), "newer", "_id", "updated"]), json_values)
def test_both_paths_decide_the_same_of_any_value_in_any_field(name: str, value: object) -> None:
    fields = json.dumps(record(**{name: value}))
    check(f'{{"transid":[],"response":{fields}}}'.encode())


@given(json_values, json_values, json_values)
def test_both_paths_decide_the_same_of_any_value_around_a_record(
    transid: object, instance: object, error: object
) -> None:
    outer = {"transid": transid, "instance": instance, "isSystemError": error}
    check(json.dumps({"response": record()} | outer).encode())


@pytest.mark.parametrize("space", [0, 1, 70_000])
def test_a_field_that_couchdb_keeps_to_itself_is_seen_wherever_it_stands(space: int) -> None:
    text = message(record(newer="x" * 16_300)).rstrip(b"}")
    found = slow_path.read(text + b"," + b" " * space + b'"_deleted":true}}', 7)
    assert isinstance(found, Reject)
    assert "_deleted" in found.detail


@pytest.mark.parametrize("name", [r"\ud86bey", r"\ud86b\udc65y"])
def test_half_a_pair_is_no_letter_of_a_name(name: str) -> None:
    odd = message(record(annotations=["<raw>"]), raw=f'{{"{name}":"a","value":1}}')
    assert isinstance(slow_path.read(odd, 7), Reject)


def test_the_limit_of_recursion_is_left_as_it_was() -> None:
    limit = sys.getrecursionlimit()

    for levels in (500, 900, 5_000):
        routed(message("<raw>", raw="[" * levels + "]" * levels))

    assert sys.getrecursionlimit() == limit
