import json
from collections.abc import Callable

import msgspec
import pytest

from models.roles import TopicRole
from openwhisk.gateway.counts import few_documents, few_members, few_values, takes_long
from openwhisk.gateway.records import Taking
from tests.support import cost
from tests.unit.gateway.doubles import document


@pytest.mark.parametrize(
    "body,few",
    [
        (b'{"docs":[]}', True),
        (b'{"docs":[{},{}]}', True),
        (b'{"new_edits":true,"docs":[{"a":[1,2,3,4]},{"_id":"b"}]}', True),
        (b'{"docs":[{},{},{}]}', False),
        (b'{"docs":[1]}', False),
        (b'{"docs":[{},[]]}', False),
        (b'{"docs":{}}', False),
        (b"{}", False),
        (b'{"docs":[{}', False),
        (b"\xff", False),
        (b'{"docs":' + b"[" * 100_000, False),
    ],
)
def test_documents_are_counted_before_they_are_built(body: bytes, *, few: bool) -> None:
    assert few_documents(body, 2) is few


def test_each_body_is_counted_anew() -> None:
    assert all(few_documents(b'{"docs":[{},{}]}', 2) for _ in range(5))
    assert not few_documents(b'{"docs":[{},{},{}]}', 2)
    assert few_documents(b'{"docs":[{},{}]}', 2)


@pytest.mark.parametrize("unit", [b"1,", b"[],", b"{},", b'{"a":{}},', b"[[[["])
def test_values_are_bounded_without_parsing(unit: bytes) -> None:
    assert few_values(unit * 10, 100)
    assert not few_values(unit * 101, 100)


@pytest.mark.parametrize("value", [b"1", b"[1,2,3]", b'{"a":1,"b":2}', b'"{},[]"'])
def test_only_members_of_the_outermost_object_are_counted(value: bytes) -> None:
    members = [b'"k%d":%b' % (number, value) for number in range(3)]
    assert few_members(b"{%b}" % b",".join(members), 3)
    assert not few_members(b"{%b}" % b",".join(members), 2)


def test_what_is_no_object_has_no_members() -> None:
    assert not few_members(b"[1,2,3,4]", 2)
    with pytest.raises(msgspec.DecodeError):
        few_members(b'{"a":1,"b":2,"c":3', 2)


def dearest(**changed: object) -> str:
    """A document that the persister's routing cannot read in its quick way, as JSON."""
    found = document(namespace="a/b", **changed)
    found["_id"] = f"a/b/{found['activationId']}"
    return json.dumps(found)


def logging(unit: str) -> Callable[[int], bytes]:
    """A document whose logs are so many bytes of this."""

    def made(size: int) -> bytes:
        return (
            dearest(logs=["@"]).replace('"@"', unit * (size // len(unit.encode())) + '""').encode()
        )

    return made


def of_values(name: str, value: object) -> Callable[[int], bytes]:
    def made(size: int) -> bytes:
        result = {f"{name}{n}": value for n in range(size // (len(name) + 12))}
        response = {"statusCode": 0, "result": result}
        return dearest(response=response).encode()

    return made


CONTENTS = {
    "texts": logging('"' + "x" * 500 + '",'),
    "escapes": logging('"' + "\\n" * 100 + '",'),
    "escaped letters": logging('"' + "\\u00e9" * 100 + '",'),
    "halves of letters": logging('"' + "\\ud83d\\ude00" * 20 + '",'),
    "what looks like keys": logging('"' + '\\":' * 100 + '",'),
    "letters of two bytes": logging('"' + "\u00e9" * 200 + '",'),
    "digits": logging('"' + "1234567890" * 50 + '",'),
    "spaces": logging(" "),
    "empty texts": logging('"",'),
    "short keys": of_values("k", 1),
    "long keys": of_values("k" * 40, "v"),
}


@pytest.mark.parametrize("contents", CONTENTS)
def test_what_is_handled_at_once_takes_little(contents: str) -> None:
    size = 64 * 1024
    while takes_long(found := CONTENTS[contents](size)):
        size = size * 7 // 8
    taking = Taking(TopicRole.OTHERS, 10**9, lambda _: None)
    assert len(found) > 3500
    assert cost(lambda: taking.take(found, 0)) < 1


def test_a_usual_record_is_handled_at_once_and_a_megabyte_is_not() -> None:
    usual = {"logs": ["2026-01-02T03:04:05.678Z stdout: " + "x" * 100] * 100}
    assert not takes_long(json.dumps(document(**usual)).encode())
    assert takes_long(json.dumps(document(logs=["x" * 10**6])).encode())
