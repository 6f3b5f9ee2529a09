import json

import pytest

from app.dead_letters.activation import activation_id
from tests.unit.dead_letters.letters import content

ID = "0123456789abcdef0123456789abcdef"


def found(value: bytes | None, key: bytes | None = None) -> str | None:
    return activation_id(content(value=value, key=key))


@pytest.mark.parametrize(
    "message",
    [
        {"transid": ["x", 1], "response": {"activationId": ID, "response": {"activationId": 1}}},
        {"response": ID},
        {"activationId": ID, "instance": {}},
        {"_id": f"guest/{ID}", "activationId": ID},
    ],
)
def test_it_is_found_in_each_kind_of_message_and_in_documents(message: object) -> None:
    assert found(json.dumps(message).encode()) == ID


def test_it_is_found_in_what_is_no_json() -> None:
    assert found(b'{"response":{"activationId" : "' + ID.encode() + b'", oh') == ID
    assert found(b'\xff{"activationId":"' + ID.encode() + b'"}') == ID


def test_the_key_tells_it_where_the_value_does_not() -> None:
    assert found(None, ID.encode()) == ID
    assert found(b"junk", b"messages") is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[1]",
        b'"text"',
        b'{"response":[]}',
        b'{"activationId":5}',
        b'{"activationId":"\x1b[31m"}',
        b'{"activationId":"' + b"a" * 65 + b'"}',
        b'{"response":"\xff"}',
        b"[" * 100_000,
    ],
)
def test_where_there_is_none_nothing_is_made_up(value: bytes | None) -> None:
    assert found(value) is None
