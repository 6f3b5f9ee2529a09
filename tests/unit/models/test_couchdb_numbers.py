"""Numbers as CouchDB 3.5.0 gave them back: one reading for the sink's comparison and the audit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.content import document_content
from app.couchdb.comparison import Same, Stored, compare
from models import couchdb_numbers

RECORDED = [
    ("10000000000000000000000000000000e5", "9.999999999999999e+35"),
    ("100000000000000000000000000000000000000000000000000e5", "1e+55"),
    ("10000000000000000000000000000000000000000E+5", "1.0000000000000001e+45"),
    ("123456789012345678901234567890123e-60", "1.2345678901234567e-28"),
    ("-98765432109876543210987654321098e3", "-9.876543210987656e+34"),
    ("10000000000000000000000000000000e-330", "0.0"),
    ("4372793747135898471178e0", "4.3727937471358986e+21"),
    ("7e0", "7.0"),
    ("4.9e-324", "5e-324"),
    ("22e-309", "2.200000000000004e-308"),
    ("-0e5", "0.0"),
    ("1E+2", "100.0"),
    ("1e-400", "0.0"),
    ("0.1234567890123456789012345678901234e-5", "0.0000012345678901234567"),
    ("2.2250738585072014e-308", "2.2250738585072014e-308"),
]


def document(number: str) -> bytes:
    return f'{{"_id":"a","v":[{number}]}}'.encode()


@pytest.mark.parametrize("written, printed", RECORDED)
def test_a_number_equals_what_couchdb_makes_of_it(written: str, printed: str) -> None:
    ours, stored = document(written), document(printed)
    assert compare(ours, Stored(stored)) is Same.EQUAL
    assert document_content(ours)[1].digest == document_content(stored)[1].digest


@pytest.mark.parametrize(
    "one, other",
    [
        ("0.1", "0.10000000000000002"),
        ("10000000000000000000000000000000e5", "1e36"),
        ("10000000000000000000000000000000.0e5", "9.999999999999999e+35"),
    ],
)
def test_another_double_is_another_number(one: str, other: str) -> None:
    assert compare(document(one), Stored(document(other))) is not Same.EQUAL
    assert document_content(document(one))[1] != document_content(document(other))[1]


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,90})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,20})?", fullmatch=True)
)
def test_every_number_is_read(text: str) -> None:
    assert isinstance(couchdb_numbers.double(text), float)
