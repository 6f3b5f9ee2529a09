"""The W3C header `traceparent`, which anybody may write."""

import pytest

from app.tracing.traceparent import header_of, parents, parse
from tests.support import record

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
VALUE = f"00-{TRACE:032x}-{SPAN:016x}-01".encode()


def carrying(value: bytes) -> object:
    return record(b"{}", headers=[("other", b"x"), ("traceparent", value)])


def test_it_is_read_as_the_standard_says() -> None:
    assert parse(VALUE) == (TRACE, SPAN, 1)
    assert parse(b"cc" + VALUE[2:] + b"-what-a-later-version-adds") == (TRACE, SPAN, 1)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"ff" + VALUE[2:],
        VALUE.upper(),
        VALUE + b"0",
        b"00-" + b"0" * 32 + VALUE[35:],
        VALUE[:36] + b"0" * 16 + b"-01",
        b"\xff\xfe",
        VALUE.replace(b"-", b"_"),
    ],
)
def test_what_is_no_traceparent_belongs_to_no_trace(value: bytes) -> None:
    assert parse(value) is None


def test_each_trace_is_named_once_and_they_are_bounded() -> None:
    others = [f"00-{n:032x}-{SPAN:016x}-00".encode() for n in range(1, 10)]
    records = [record(b"{}"), *map(carrying, [VALUE, VALUE, b"junk", *others])]
    found = parents(records, 3)
    assert found == [(TRACE, SPAN, 1), (1, SPAN, 0), (2, SPAN, 0)]


def test_a_header_that_is_too_long_is_not_looked_at() -> None:
    assert header_of(carrying(VALUE)) == VALUE
    assert header_of(carrying(b"cc" + VALUE[2:] + b"-" * 10**6)) is None
    assert header_of(record(b"{}", headers=[("traceparent", b"")])) is None
