"""Compiles regular expressions whose possessive groups end where they should in every Python.

Before 3.11.5 (python/cpython#106052; Debian 12 has 3.11.2) a possessive group that began another
round which does not match may go on from where that round broke off: `(?:ab?c)*+` ends behind the
last character of `abcab`. One more alternative, which never matches, takes it back first.
"""

import re
from typing import AnyStr

_possessive_group = re.compile(r"(?<!(?<!\\)\\)\)(?=(?:[*+?]|\{[0-9,]++\})\+)")


def _goes_back(pattern: re.Pattern[str]) -> bool:
    found = pattern.match("abcab")
    return found is not None and found.end() == len("abc")


NEEDS_HELP = not _goes_back(re.compile("(?:ab?c)*+"))
"""Whether this Python is one of those."""


def compiled(
    pattern: AnyStr, flags: int = 0, *, needs_help: bool = NEEDS_HELP
) -> re.Pattern[AnyStr]:
    """As `re.compile`; to be used for every pattern with a possessive group."""
    if not needs_help:
        return re.compile(pattern, flags)
    if isinstance(pattern, bytes):
        return re.compile(_helped(pattern.decode("latin-1")).encode("latin-1"), flags)
    return re.compile(_helped(pattern), flags)


def _helped(pattern: str) -> str:
    return _possessive_group.sub("|(?!))", pattern)
