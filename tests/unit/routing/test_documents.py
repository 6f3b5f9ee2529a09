"""What stands in the message stands in the document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing import Candidate, Reject, Store, slow_path
from models.documents import ADDED_FIELDS
from tests.golden import Number, exactly
from tests.unit.routing.messages import ACTIVATION_ID, RAW, UPDATED, message, record, routed


def document(value: bytes) -> Any:
    return exactly(raw_document(value))


def raw_document(value: bytes) -> bytes:
    decision = routed(value)
    assert isinstance(decision, Store)
    return decision.document


def test_three_fields_are_added() -> None:
    added = {
        "_id": f"guest/{ACTIVATION_ID}",
        "entityType": "activation",
        "updated": Number(str(UPDATED)),
    }

    assert document(message(record())) == exactly(json.dumps(record())) | added


@pytest.mark.parametrize("name", ["_id", "entityType", "updated"])
def test_what_the_record_says_there_is_replaced(name: str) -> None:
    value = message(record(**{name: "other"}))

    assert document(value) == document(message(record()))
    assert raw_document(value).count(f'"{name}"'.encode()) == 1


@pytest.mark.parametrize("extra", [{}, {"newer": 1}, {"start": "2026-01-02T03:04:05Z"}])
@pytest.mark.parametrize(
    "raw",
    [
        "1E+5",
        "1E+400",
        "0.1000",
        "-0",
        "123456789012345678901234567890123456789012345678901234567890",
        "1" * 100,
        '"naïve 世界 🚀"',
        r'"\u0000\/é\uD83D\uDE80"',
        r'"\ud800"',
        '"a\uffffb"',
        '{"b":1,"a":{"c":[ ]}}',
        "null",
    ],
)
def test_values_are_kept_to_the_byte(raw: str, extra: dict[str, Any]) -> None:
    value = message(record(response={"statusCode": 0, "result": RAW}, **extra), raw=raw)

    assert f'"result":{raw}'.encode() in raw_document(value)


def test_unknown_fields_are_kept() -> None:
    assert document(message(record(newer={"_deep": RAW}), raw="1.50"))["newer"] == {
        "_deep": Number("1.50")
    }


def test_a_record_with_unknown_fields_is_read_like_any_other() -> None:
    value = message(record(newer=1, namespace="a/b", logs=["x"]))

    assert document(value)["_id"] == f"a/b/{ACTIVATION_ID}"


@pytest.mark.parametrize("key", [r"\ud800", "ü", r"\u0066", ""])
def test_keys_are_kept_as_they_were_written(key: str) -> None:
    value = message(record()).replace(b'"publish"', f'"{key}":1,"publish"'.encode())

    assert f'"{key}":1'.encode() in raw_document(value)


def test_the_last_of_two_equal_keys_counts() -> None:
    value = message(record()).replace(b'"name":"hello"', b'"name":1,"na\\u006de":"hello"')
    of_two_responses = message(record()).replace(b'"response":', b'"response":{},"response":', 1)

    assert document(value)["name"] == "hello"
    assert document(of_two_responses) == document(message(record()))


@pytest.mark.parametrize(
    "written,millis",
    [
        ("2026-01-02T03:44:05.123Z", 1767325445123),
        ("2026-01-02T03:44:05.123999999Z", 1767325445123),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_iso_times_become_millis(written: str, millis: int) -> None:
    stored = document(message(record(start=written, end=written)))

    assert stored["start"] == stored["end"] == Number(str(millis))


def test_times_that_are_numbers_stay_as_they_are() -> None:
    stored = document(message(record(start=RAW, end="1970-01-01T00:00:01Z"), raw="1.767325E+12"))

    assert stored["start"] == Number("1.767325E+12")
    assert stored["end"] == Number("1000")


def test_the_id_is_in_openwhisks_own_form() -> None:
    stored = document(message(record(namespace="/guest//x/", activationId=RAW), raw="1" * 32))

    assert stored["_id"] == "guest/x/" + "1" * 32
    assert stored["namespace"] == "/guest//x/"


def test_space_around_values_does_not_matter() -> None:
    value = json.dumps({"transid": [], "response": record()}, indent=2).encode()

    assert document(b"\r\n\t" + value + b"\n ") == document(message(record()))


def test_the_same_record_gives_the_same_bytes() -> None:
    assert raw_document(message(record())) == raw_document(message(record(), transid=["other", 2]))


OTHERS = st.lists(
    st.sampled_from(
        (
            *('"":0', '"\\n":[0]', '"\\ud800":"\\ud800"', '"n":{"updated":1}', '"ends":"]"'),
            *('"updated":[1,{"a":2}]', '"_id":"x"', '"\\u005fid":1', '"entityType":null'),
            *(
                '"end":7',
                '"\\u0065nd":8',
                '"start":"2026-01-02T03:04:05Z"',
                '"logs":["a"]',
                '"name":3',
            ),
            *('"cause":null', '"deep":' + "[" * 60 + "]" * 60, '"large":"' + "x" * 20_000 + '"'),
        )
    ),
    max_size=8,
)


@given(OTHERS, OTHERS, st.sampled_from(["", " ", "\n"]))
def test_what_is_left_out_and_what_stays(before: list[str], after: list[str], space: str) -> None:
    """Of equal names that OpenWhisk reads, the last one; of others, all."""
    good = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in record().items()]
    written = (f"{space},{space}").join([*before, *good, *after, f'"publish"{space}:{space}true'])
    decision = slow_path.read(f'{{"response":{{{space}{written}{space}}}}}'.encode(), UPDATED)
    if '"name":3' in after:
        assert isinstance(decision, Reject)
        return

    assert isinstance(decision, Candidate)
    pairs: list[tuple[str, Any]] = json.loads(f"{{{written}}}", object_pairs_hook=list)
    last = {name: number for number, (name, _) in enumerate(pairs)}
    read = {*record(), "cause"}
    assert json.loads(decision.document, object_pairs_hook=list)[3:] == [
        (name, 1_767_323_045_000 if name == "start" and isinstance(value, str) else value)
        for number, (name, value) in enumerate(pairs)
        if name not in ADDED_FIELDS and (name not in read or last[name] == number)
    ]
