"""More or less is logged while the program runs."""

import logging
from collections.abc import Iterator

import pytest

from app.process.verbosity import OURS, Level, set_level, toggle_debug


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in OURS}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_debug_is_toggled_for_our_own_lines_alone() -> None:
    faust = logging.getLogger("faust").level
    assert toggle_debug() is Level.DEBUG
    assert logging.getLogger("app.routing.step").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("faust").level == faust
    assert toggle_debug() is Level.INFO
    assert not logging.getLogger("app.routing.step").isEnabledFor(logging.DEBUG)


def test_a_level_is_set() -> None:
    set_level(Level.ERROR)
    assert not logging.getLogger("openwhisk.gateway").isEnabledFor(logging.WARNING)
