import pytest

from app.couchdb.faults import carries_its_id, known_fault
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
        b'"n":' + b"7" * 309,
        b'"n":{"m":[-' + str(2**1024 - 2**970).encode() + b"]}",
        b'"n":' + b"9" * 4400,
    ],
)
def test_what_couchdb_refuses_is_known(rest: bytes) -> None:
    assert known_fault(Document("guest/1", b'{"_id":"guest/1",' + rest + b"}"))


@pytest.mark.parametrize("id_", ["", "_guest/1"])
def test_an_illegal_id_is_known(id_: str) -> None:
    assert known_fault(Document(id_, f'{{"_id":"{id_}"}}'.encode()))


def test_a_body_with_another_id_is_known() -> None:
    assert known_fault(Document("guest/1", b'{"_id":"guest/2"}'))
    assert not carries_its_id(Document("guest/1", b'{"_id":"guest/2"}'))


@pytest.mark.parametrize(
    "rest",
    [
        rb'"s":"\ud83d\ude00"',
        rb'"s":"\\ud800"',
        rb'"s":"\u0000"',
        b'"n":123456789012345678901234567890',
        b'"n":1E+5',
        b'"n":' + str(2**1024 - 2**970 - 1).encode(),
        b'"n":5e-324',
        b'"n":"' + b"7" * 400 + b'"',
        b'"d":' + b"[" * 5000 + b"]" * 5000,
        b'"nested":{"_foo":1}',
        '"s":"é😀"'.encode(),
    ],
)
def test_nothing_is_known_against_what_couchdb_takes(rest: bytes) -> None:
    assert known_fault(Document("guest/1", b'{"_id":"guest/1",' + rest + b"}")) is None
