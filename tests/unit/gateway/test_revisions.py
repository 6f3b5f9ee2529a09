"""Revisions as a CouchDB 3.5.0 gave them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwhisk.gateway import outline, revisions
from openwhisk.gateway.revisions import first_revision


@pytest.mark.parametrize(
    "document, revision",
    [
        (b"{}", "1-967a00dff5e02add41819138abb3284d"),
        (b'{"_id":"a"}', "1-967a00dff5e02add41819138abb3284d"),
        (b'{"a":[1,2,3]}', "1-308048961a84beb0c9e99e07facf0f5f"),
        (
            '{"a":1.5,"b":true,"c":null,"d":"gr\u00fc","e":-5,"f":300,"g":1767325446000,'
            '"h":[300,1],"i":{},"j":[],"k":{"x":[{"y":1e2}]}}'.encode(),
            "1-44737e474a3d378557ab27b578260e2e",
        ),
        (
            b'{"a":[0,255],"b":[0,256],"c":[-1],"d":["x",1],"e":[[1,2],[3]],"f":[true],"g":[1.0]}',
            "1-a00850e90ae2cfa48c4b0d1aa191e536",
        ),
        (
            b'{"a":"\\u0000\\ud83d\\ude00\\/\\n","b":"\xf0\x9f\x8e\x89"}',
            "1-d78176d2d3e774c3e6b02e913e89bae1",
        ),
        (b'{"a":' + b"9" * 300 + b"}", "1-c000c2c25023a1b76c26023893e9ec3a"),
        (
            (
                b'{"a":0.1,"b":1e-7,"c":123456.789e3,"d":2.2250738585072014e-308,'
                b'"e":9007199254740993.0}'
            ),
            "1-b0cbcd978f84df71001a27fcbcfbb5e2",
        ),
        (b'{"\\u00e9":1,"":2}', "1-8c22c115519130ba491f6708c32c8c7b"),
        (b'{"a":[' + b",".join([b"7"] * 70_000) + b"]}", "1-7aae80c72ae5f046fad94369742d5c11"),
    ],
)
def test_a_revision_is_the_one_that_couchdb_gives(document: bytes, revision: str) -> None:
    assert first_revision(document) == revision


@pytest.mark.parametrize("number", [b"5e-324", b"-3e-324", b"22e-309", b"1e-310"])
def test_a_number_that_couchdb_may_read_as_another_one_has_none(number: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        first_revision(b'{"a":%b}' % number)


@pytest.mark.parametrize(
    "number, revision",
    [
        (b"1e-400", "1-f8fc1b07134fb0e1af62a5cb42046ee1"),
        (b"-0.0", "1-79e62e17829588afea5328e32c7e34af"),
        (b"10000000000000000000000000000000e5", "1-51ce546a333c78aed49b3cf48e824143"),
    ],
)
def test_a_number_is_hashed_as_couchdb_reads_it(number: bytes, revision: str) -> None:
    assert first_revision(b'{"a":%b}' % number) == revision


@pytest.mark.parametrize(
    "document", [b"", b"{", b'{"a":1e400}', b'{"a":"\\ud800"}', b'{"a":"\xff"}']
)
def test_what_couchdb_does_not_read_has_none(document: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        first_revision(document)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(1, 1e9) | st.text(),
    lambda inner: (
        st.lists(inner) | st.lists(st.integers(0, 256)) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=30,
)
_documents = st.dictionaries(st.sampled_from(["_id", "a"]) | st.text(), _values, min_size=1)


@given(_documents, st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}]))
@settings(max_examples=100)
def test_a_large_document_has_the_revision_that_it_had_if_it_were_small(
    document: dict[str, Any], way: dict[str, Any]
) -> None:
    text = json.dumps(document, **way).encode()
    with pytest.MonkeyPatch.context() as patch:
        whole = first_revision(text)
        # All but the smallest is large now.
        patch.setattr(outline, "PIECE", 3)
        patch.setattr(revisions, "PIECE", 0)
        patch.setattr(revisions, "_USUAL_VALUE", len(text) + 1)
        assert first_revision(text) == whole


@pytest.mark.parametrize(
    "members",
    [
        b'"a":1,"b":2,"a":3',
        b'"a":{"x":1,"y":2,"x":3}',
        b'"a":[{"k":1,"k":1}]',
        b'"\\u0061":1,"b":2,"a":3',
        b'"_id":"y","b":2',
        b'"a" :1,"b":2,"a" :3',
    ],
)
def test_a_key_that_comes_twice_is_left_to_couchdb(members: bytes) -> None:
    with pytest.raises(ValueError, match="a key comes twice"):
        first_revision(b'{"_id":"x",%b}' % members)


LONG = b"\xc3\xa9" * 5000


@pytest.mark.parametrize(
    "document, complaint",
    [
        (b'{"a":1,"\\u0061":2,"b":"%b"}' % LONG, "a key comes twice"),
        (b'{"a":1,"b":"%b","a":2}' % LONG, "a key comes twice"),
        (b'{"a":"%b","\\u0061":[]}' % LONG, "a key comes twice"),
        (b'{"a":[%b],"b":"\\u00e9"}' % (b" " * 5000), "nothing but spaces"),
        (b'{"a":1,"%b":"\\u00e9"}' % (b"k" * 70_000), "a key is too long"),
        (b'{"a":"%b\\udc00"}' % LONG, "surrogate"),
        (b'{"a":"%b\xff"}' % LONG, "(?i)utf-8"),
        (b'{"a":"%b\xc3","b":"\xa9"}' % LONG, "(?i)utf-8"),
        (b'{"a":[[1e400],"%b"]}' % LONG, "range of doubles"),
        (b'[["%b"]]' % LONG, "expected `object`|no object"),
    ],
)
def test_what_is_odd_in_a_large_document_is_left_to_couchdb(
    document: bytes, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        first_revision(document)
