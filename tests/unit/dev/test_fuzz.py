"""A short run of `make fuzz`, from seeds that are always the same, and what it once found."""

import json
from collections.abc import Callable

import pytest

from dev.fuzz.cost import findings, tried
from dev.fuzz.gateway import GatewayTarget, conversations
from dev.fuzz.inputs import made
from dev.fuzz.requests import Conversation, conversation, good
from dev.fuzz.targets import digest, letters, pipeline, routing

_SIZE = 32 * 1024
_FOUND_SIZE = 80 * 1024

_MESSAGE = (
    b'{"transid":["t",1],"response":{"namespace":"guest","name":"a","subject":"guest",'
    b'"activationId":"0123456789abcdef0123456789abcdef","start":"2026-01-02T03:04:05Z","end":0,'
    b'"response":{"statusCode":0},"logs":<logs>,"version":"0.0.1","publish":false,'
    b'"annotations":<annotations>,"newer":<newer>}}'
)


def message(**values: bytes) -> bytes:
    text = _MESSAGE
    for name in ("logs", "annotations", "newer"):
        text = text.replace(b"<%b>" % name.encode(), values.get(name, b"[]"))
    return text


FOUND = {
    "brackets": b"[" * 201 + b'"\\' * (_FOUND_SIZE // 2),
    "short logs": message(logs=b"[" + b'"aa",' * (_FOUND_SIZE // 5) + b'""]'),
    "empty arrays": message(newer=b"[" + b"[]," * (_FOUND_SIZE // 3) + b"0]"),
    "objects": message(newer=b"[" + b'{"a":[1]},' * (_FOUND_SIZE // 10) + b"0]"),
    "annotations": message(
        annotations=b"[" + b'{"key":"","value":0},' * (_FOUND_SIZE // 21) + b'{"key":"","value":0}]'
    ),
    "many fields": message(
        newer=b"0," + b",".join(b'"k%d":1' % n for n in range(_FOUND_SIZE // 11))
    ),
    "equal fields": message(newer=b"0," + b'"_id":1,"name":"a",' * (_FOUND_SIZE // 19) + b'"z":0'),
    "digits": message(newer=b"9" * _FOUND_SIZE),
    "namespace": message().replace(b'"guest"', b'"' + b"aa/" * (_FOUND_SIZE // 3) + b'a"', 1),
    "surrogates": message(newer=b'"' + b"\\ud800" * (_FOUND_SIZE // 6) + b'"'),
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("target", [routing, digest, letters])
def test_what_was_found_once(name: str, target: Callable[[bytes], None]) -> None:
    assert tried(target, FOUND[name]) is None
    assert tried(target, FOUND[name].replace(b'"2026-01-02T03:04:05Z"', b"0")) is None


_MANY: dict[str, bytes] = {
    "escaped names": message(newer=b'{"_":0},' + b'"\\n":0,' * 57_000 + b'"z":0'),
    "tiny members": message(newer=b'{"_":0},' + b'"":0,' * 80_000 + b'"z":0'),
    "names of halves": message(newer=b'{"_":0},' + b'"\\ud800":0,' * 36_000 + b'"z":0'),
    "escaped names that matter": message(newer=b"0," + b'"\\u0065nd":0,' * 30_000 + b'"z":0'),
    "names that matter": message(newer=b"0," + b'"end":0,' * 50_000 + b'"z":0'),
    "names that do not and do": message(newer=b"0," + b'"end":0,"":0,' * 30_000 + b'"z":0'),
    "small arrays": message(newer=b'{"_":0},' + b'"":[0],' * 57_000 + b'"z":0'),
    "deep arrays": message(
        newer=b'{"_":0},' + (b'"":' + b"[" * 70 + b"]" * 70 + b",") * 2_800 + b'"z":0'
    ),
    "members of a response": message().replace(
        b'{"statusCode"', b"{" + b'"":0,' * 80_000 + b'"statusCode"'
    ),
    "members of an annotation": message(
        annotations=b'[{"key":"",' + b'"":0,' * 80_000 + b'"value":0}]'
    ),
    "annotations in another order": message(
        annotations=b"[" + b'{"value":"","init":0},' * 18_000 + b'{"key":"","value":0}]'
    ),
    "members of a message": b"{" + b'"":0,' * 80_000 + message()[1:],
    "logs and digits": message(
        logs=b"[" + b'"",' * 130_000 + b'""]', newer=b'["' + b"9" * 101 + b'"]'
    ),
    "items below the deepest": message(
        newer=b"[" + b"[" * 990 + b"]" * 990 + b",[0]" * 100_000 + b"]"
    ),
    "no JSON at its end": message(newer=b"[" + b"[0]," * 100_000 + b"]"),
}


@pytest.mark.parametrize("name", _MANY)
def test_very_many_small_things_are_not_looked_at_one_by_one(name: str) -> None:
    """Half a megabyte of them takes some hundred bytes on the wire."""
    assert tried(pipeline, _MANY[name], weigh=False) is None


def test_nothing_is_found_quickly() -> None:
    assert [str(found) for found in findings(range(40), _SIZE) if found] == []


def test_no_conversation_with_a_gateway_is_found_quickly() -> None:
    with GatewayTarget() as gateway:
        found = [str(one) for one in conversations(gateway, range(60), _SIZE) if one]
    assert found == []


@pytest.mark.parametrize("text", ['":', "é"])
def test_a_document_of_a_megabyte_keeps_nobody_waiting(text: str) -> None:
    """It took up to a sixth of a second in the loop, on each of several connections."""
    sent = good(7, logs=[text * (1_000_000 // len(json.dumps(text)))])
    with GatewayTarget() as gateway:
        assert gateway.tried(Conversation([sent], 0), weigh=False) is None


def test_a_body_that_ends_with_a_piece_is_not_unpacked_for_ever() -> None:
    with GatewayTarget() as gateway:
        assert gateway.tried(conversation(20266489, 131072)) is None


def test_an_input_can_be_made_again() -> None:
    assert made(7, 1000) == made(7, 1000)
    assert conversation(7, 1000) == conversation(7, 1000)
