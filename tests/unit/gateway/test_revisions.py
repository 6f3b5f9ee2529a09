"""Revisions as a CouchDB 3.5.0 gave them."""

import msgspec
import pytest

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
