"""Possessive groups end where they should, in whatever Python."""

import re
from pathlib import Path

import pytest

from models.patterns import NEEDS_HELP, compiled

PROJECT = Path(__file__).parents[3]
POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,%d]+\})\+")


def test_a_round_that_broke_off_is_taken_back() -> None:
    found = compiled("(?:ab?c)*+").match("abcab")
    assert found
    assert found.end() == 3


@pytest.mark.parametrize("needs_help", sorted({True, NEEDS_HELP}))
@pytest.mark.parametrize(
    "pattern,text,end",
    [
        (rb"(?:[0-9],)*+", b"1,2,3", 4),
        (rb"(?:[0-9]+,){1,5}+", b"1,2,3", 4),
        (rb"1(?:\.[0-9]++)?+", b"1.", 1),
        (rb'"(?:[^"\\]++|\\(?:["\\]|u[0-9]{4}))*+', rb'"a\"b\u12x', 5),
        (rb"(?:\)x)*+", b")x)", 2),
    ],
)
def test_so_it_is_in_a_python_that_needs_help(
    pattern: bytes, text: bytes, end: int, *, needs_help: bool
) -> None:
    found = compiled(pattern, needs_help=needs_help).match(text)
    assert found
    assert found.end() == end


def test_every_possessive_group_of_ours_is_compiled_so() -> None:
    files = [
        file
        for package in ("agents", "app", "models", "openwhisk")
        for file in (PROJECT / package).rglob("*.py")
        if file.name != "patterns.py" and POSSESSIVE_GROUP.search(file.read_text(encoding="utf-8"))
    ]
    assert files
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not (POSSESSIVE_GROUP.search(line) and "re.compile(" in line), file
        assert "from models.patterns import compiled" in file.read_text(encoding="utf-8"), file
