"""What counts as the same document."""

import json
import tracemalloc

import pytest

from app.audit.content import Content, differing, document_content
from models import exact_json


def content_of(text: str) -> Content:
    return document_content(f'{{"_id":"guest/1","field":{text}}}'.encode())[1]


@pytest.mark.parametrize(
    "written, printed",
    [
        ("1E2", "100.0"),
        ("1.50", "1.5"),
        ("1.0", "1"),
        ("-0.0", "0"),
        ("0.1000000000000000055", "0.1"),
        ("12345678901234567890", "12345678901234567890"),
        ("1e22", "1.0e22"),
        ('"\\u00e4"', '"ä"'),
        ('{"a":1,"b":[2]}', '{"b":[2],"a":1}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('"\\ud800"', '"\\ud800"'),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_the_database_may_print_a_value_in_another_way(written: str, printed: str) -> None:
    assert content_of(written).digest == content_of(printed).digest


@pytest.mark.parametrize(
    "one, other",
    [
        ("1", "2"),
        ("1", "true"),
        ("1", '"1"'),
        ("0", "false"),
        ("null", "false"),
        ("[1,2]", "[2,1]"),
        ('{"a":null}', "{}"),
        ("9007199254740993", "9007199254740992"),
        ("1" * 5000, "1" * 4999 + "2"),
        ("1e400", "1e308"),
    ],
)
def test_another_value_is_another_document(one: str, other: str) -> None:
    assert content_of(one).digest != content_of(other).digest


@pytest.mark.parametrize(
    "integer, as_double",
    [
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("1000000000000000000001", "1e+21"),
    ],
)
def test_large_integers_that_became_doubles_are_told_apart_from_others(
    integer: str, as_double: str
) -> None:
    sent, kept = content_of(integer), content_of(as_double)
    assert sent.digest != kept.digest
    assert sent.rounded == kept.rounded
    assert sent.rounded != content_of("12345678901234999999").rounded


def test_only_the_record_itself_is_compared() -> None:
    record = {"_id": "guest/1", "name": "hello"}
    stored = record | {"_rev": "1-abc", "updated": 5}
    contents = [document_content(json.dumps(one).encode())[1] for one in (record, stored)]
    assert contents[0] == contents[1]


def test_the_deepest_values_that_openwhisk_reads_are_compared() -> None:
    deep = "[" * 990 + "1" + "]" * 990
    assert content_of(deep) == content_of(deep.replace("1", "1.0"))
    assert content_of(deep) != content_of(deep.replace("1", "2"))


@pytest.mark.parametrize("value", [b"", b"junk", b"[]", b'{"a":1}', b'{"_id":1}', b"\xff"])
def test_what_is_no_document_is_an_error(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|decode|Expecting"):
        document_content(value)


def test_the_fields_that_differ_are_named() -> None:
    sent = exact_json.loads('{"a":1.0,"b":{"c":1},"d":1}')
    stored = b'{"_id":"x","_rev":"1-x","updated":3,"a":1,"b":{"c":2},"e":1}'
    assert differing(sent, stored) == ["b", "d", "e"]


def test_an_id_that_is_no_unicode_is_no_documents() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        document_content(b'{"_id":"\\ud800"}')


def test_large_doubles_take_no_more_room_than_others() -> None:
    """As integers each would be printed with 309 digits."""
    document = b'{"_id":"guest/1","field":[%b1]}' % (b"1e308," * 20_000)
    tracemalloc.start()
    try:
        document_content(document)
        assert tracemalloc.get_traced_memory()[1] < 70 * len(document)
    finally:
        tracemalloc.stop()
