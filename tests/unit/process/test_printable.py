import tracemalloc

import pytest

from app.process.printable import printable, shown


@pytest.mark.parametrize(
    "text,expected",
    [
        ("Grüße 🎉", "Grüße 🎉"),
        ("a\nERROR forged", r"a\nERROR forged"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\u2028b\x85c\x9bd", r"a\u2028b\x85c\x9bd"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(text).isprintable()


def test_what_the_caller_allows_stays() -> None:
    assert printable("a\n\tb\r", "\n\t") == "a\n\tb\\r"


def test_a_long_text_says_how_much_is_left_out() -> None:
    assert printable("x" * 12, longest=10) == "x" * 10 + "... (2 more characters)"
    assert printable("x" * 10, longest=10) == "x" * 10


def test_any_value_is_one_line_of_bounded_length() -> None:
    assert shown(b"a\xff\n") == r"a\xff\n"
    assert shown(None) == "None"
    assert len(shown("\n" * 10**6)) < 3000
    assert len(shown(b"\xff" * 10**6)) < 6000


def test_a_long_text_is_escaped_in_little_more_memory_than_it_takes() -> None:
    text = "\x01" * 1_000_000
    tracemalloc.start()
    try:
        assert printable(text) == r"\x01" * 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()
