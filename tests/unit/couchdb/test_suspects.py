import pytest

from app.couchdb.suspects import carries_its_id, divide_suspects, is_suspect
from app.storing.sink import Document


@pytest.mark.parametrize(
    "rest",
    [
        b'"s":"\xff"',
        rb'"s":"\ud800"',
        rb'"s":["\udc00\ud800"]',
        b'"n":1e400',
        b'"n":[-1E+400]',
        b'"n":NaN',
        b'"_foo":1',
        b'"n":',
        b'"d":' + b"[" * 5000 + b"]" * 5000,
    ],
)
def test_what_couchdb_refuses_is_suspect(rest: bytes) -> None:
    assert is_suspect(Document("guest/1", b'{"_id":"guest/1",' + rest + b"}"))


@pytest.mark.parametrize("id_", ["", "_guest/1"])
def test_an_illegal_id_is_suspect(id_: str) -> None:
    assert is_suspect(Document(id_, f'{{"_id":"{id_}"}}'.encode()))


def test_a_body_with_another_id_is_suspect() -> None:
    assert is_suspect(Document("guest/1", b'{"_id":"guest/2"}'))
    assert not carries_its_id(Document("guest/1", b'{"_id":"guest/2"}'))


@pytest.mark.parametrize(
    "rest",
    [
        rb'"s":"\ud83d\ude00"',
        rb'"s":"\\ud800"',
        rb'"s":"\u0000"',
        b'"n":123456789012345678901234567890',
        b'"n":1E+5',
        b'"nested":{"_foo":1}',
        '"s":"é😀"'.encode(),
    ],
)
def test_what_couchdb_takes_is_not_suspect(rest: bytes) -> None:
    assert not is_suspect(Document("guest/1", b'{"_id":"guest/1",' + rest + b"}"))


def test_suspects_are_divided_from_the_rest_in_order() -> None:
    good = [Document(id_, f'{{"_id":"{id_}"}}'.encode()) for id_ in "ac"]
    bad = Document("b", b"{")
    assert divide_suspects([good[0], bad, good[1]]) == (good, [bad])
