"""Which records are accepted: those that OpenWhisk's own reader accepts, field by field."""

from typing import Any

import pytest

from app.routing import Reject, Store
from models.reasons import RejectReason
from tests.unit.routing.messages import ACTIVATION_ID, RAW, message, record, routed

LONG_NAME = "x" * 256
FIELD_VALUES: list[tuple[str, list[Any], list[Any]]] = [
    (
        "namespace",
        ["x", "x_", "a.b-c_d&e", "user@example.com", "two words", LONG_NAME, "a/b", "/a/", "a//b"],
        [
            "",
            "/",
            "_",
            "_design",
            "/_local/a",
            "_x/y",
            " a",
            "a ",
            "-a",
            "é",
            LONG_NAME + "x",
            "a/ b",
            "a\n",
            None,
            1,
            {},
        ],
    ),
    (
        "name",
        ["x", "my action v1.0 & more", "0", LONG_NAME],
        ["", "a/b", "a ", "@a", "ü", LONG_NAME + "x", "a\n", "x\ty", None, 7, []],
    ),
    (
        "subject",
        ["guest", "jürgen", "世界世界世", "a b c", "🚀🚀x", "  guest  "],
        ["", "four", "   four   ", "🚀🚀", None, 12345],
    ),
    (
        "activationId",
        ["f" * 32, int("1" * 32)],
        ["", "F" * 32, "f" * 31, "f" * 33, "g" * 32, "\u0663" * 32, None, 1, int("1" * 31)],
    ),
    ("cause", [None, ACTIVATION_ID], ["", "x", 1, False]),
    (
        "start",
        [0, -1, 1.5, 10**30, "2026-01-02T03:04:05Z", "2026-01-02t03:04:05.123456789+01:00"],
        [None, True, "", "2026-01-02", "2026-02-30T00:00:00Z", "1767325445123", []],
    ),
    ("end", [0, -(10**12), "1969-12-31T23:59:59.999Z"], [None, "now"]),
    ("logs", [[], ["a", ""]], [None, "a", [1], [None], {}]),
    (
        "version",
        ["0.0.1", "1", "1.2", "1.2.3.4.x", "01.0.0", "+1.0.0", "1..", "2147483647.0.0"],
        ["", ".", "0.0.0", "00.0.0", "1.x", "1..2", "-1.0.0", "1.2.3-beta", "2147483648", None, 1],
    ),
    ("publish", [True, False], [None, "false", 0]),
    (
        "annotations",
        [
            [],
            [{"key": "", "value": None}],
            [{"key": "a", "value": 1, "more": 2}],
            [{"key": "a", "value": 1, "init": True}],
            [{"key": "a", "value": 1, "encryption": "x"}],
            [{"key": "a", "value": 1, "init": False, "encryption": None}],
            [{"value": "stands in for the key", "init": 1}],
        ],
        [
            None,
            {},
            [1],
            [{"key": "a"}],
            [{"key": 1, "value": 1}],
            [{"key": "a", "value": 1, "init": "x"}],
            [{"key": "a", "value": 1, "encryption": None}],
        ],
    ),
    ("duration", [None, 0, -5, 2**63 - 1, 1.0], ["1", 2**63, 1.5, True]),
    (
        "response",
        [
            {"statusCode": 0},
            {"statusCode": 0.0},
            {"statusCode": -7, "result": None, "size": None},
            {"statusCode": 3, "result": [1], "more": {}},
        ],
        [
            None,
            "x",
            {},
            {"statusCode": None},
            {"statusCode": "0"},
            {"statusCode": 0.5},
            {"statusCode": 2**31},
            {"statusCode": 0, "size": 2**31},
            {"statusCode": 0, "size": "1"},
        ],
    ),
]
ACCEPTED = [(name, value) for name, good, _ in FIELD_VALUES for value in good]
REFUSED = [(name, value) for name, _, bad in FIELD_VALUES for value in bad]
OPTIONAL = ("cause", "duration")


@pytest.mark.parametrize("name,value", ACCEPTED)
def test_what_openwhisk_accepts_is_stored(name: str, value: object) -> None:
    assert isinstance(routed(message(record(**{name: value}))), Store)


@pytest.mark.parametrize("name,value", REFUSED)
def test_what_it_refuses_is_rejected_with_the_name_of_the_field(name: str, value: object) -> None:
    decision = routed(message(record(**{name: value})))

    assert isinstance(decision, Reject)
    assert decision.reason is RejectReason.INVALID_RECORD
    assert decision.detail.startswith(f"{name} ")


@pytest.mark.parametrize("name", record())
def test_only_optional_fields_may_be_missing(name: str) -> None:
    fields = record()
    del fields[name]

    decision = routed(message(fields))

    if name in OPTIONAL:
        assert isinstance(decision, Store)
    else:
        assert decision == Reject(RejectReason.INVALID_RECORD, f"{name} is missing")


@pytest.mark.parametrize("raw", ["0.0", "0E5", "-0", "0e-3", "0.000000000000000000000000000000"])
def test_a_whole_number_may_be_written_in_any_notation(raw: str) -> None:
    decision = routed(message(record(response={"statusCode": RAW}), raw=raw))

    assert isinstance(decision, Store)


@pytest.mark.parametrize("raw", ["1E+400", "1e99999999999999999999", "-1E-400"])
def test_absurd_numbers_are_numbers_but_not_whole_ones(raw: str) -> None:
    assert isinstance(routed(message(record(start=RAW), raw=raw)), Store)
    assert isinstance(routed(message(record(duration=RAW), raw=raw)), Reject)


LONGEST = ["9" * 100, "-" + "9" * 99, "0." + "1" * 98, "1e+" + "0" * 97]


@pytest.mark.parametrize("raw", LONGEST)
@pytest.mark.parametrize("where", ["result", "annotation", "unknown"])
def test_a_number_may_have_as_many_characters_as_openwhisk_reads(raw: str, where: str) -> None:
    parts: dict[str, dict[str, Any]] = {
        "result": {"response": {"statusCode": 0, "result": {"deep": [RAW]}}},
        "annotation": {"annotations": [{"key": "a", "value": RAW}]},
        "unknown": {"more": RAW},
    }
    longer = raw[:-1] + "1" + raw[-1:]

    assert isinstance(routed(message(record(**parts[where]), raw=raw)), Store)
    assert routed(message(record(**parts[where]), raw=longer)) == Reject(
        RejectReason.INVALID_RECORD, "a number has more than 100 characters"
    )


@pytest.mark.parametrize("text", ["9" * 5000, "\\" + "9" * 5000, '"' + "9" * 5000 + "e"])
def test_a_text_may_look_like_a_long_number(text: str) -> None:
    assert isinstance(routed(message(record(logs=[text]))), Store)


def test_a_detail_never_shows_contents() -> None:
    secret = "s3cret-value"
    for name in record():
        decision = routed(message(record(**{name: [secret, {secret: 1}]})))
        assert isinstance(decision, Reject)
        assert secret not in decision.detail


@pytest.mark.parametrize("name", ["_rev", "_deleted", "_attachments", "_", "_x"])
def test_fields_that_couchdb_keeps_to_itself(name: str) -> None:
    decision = routed(message(record(**{name: "1"})))

    assert isinstance(decision, Reject)
    assert decision.reason is RejectReason.INVALID_RECORD
    assert f"'{name}'" in decision.detail


@pytest.mark.parametrize("brackets", ["[]", '{"":}'])
def test_nesting_is_accepted_as_deep_as_openwhisk_reads_it(brackets: str) -> None:
    opening, closing = brackets[:-1], brackets[-1]

    def nested(levels: int) -> bytes:
        raw = opening * levels + "0" + closing * levels
        return message(record(response={"statusCode": 0, "result": RAW}), raw=raw)

    around = 3  # message, record, response
    assert isinstance(routed(nested(999 - around)), Store)
    for levels in (1000 - around, 5_000, 200_000):
        decision = routed(nested(levels))
        assert isinstance(decision, Reject)
        assert decision.reason is RejectReason.NOT_JSON
