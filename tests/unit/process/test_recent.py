"""The last warnings, for the status page."""

import logging

import pytest

from app.process.recent import LINES, LONGEST, RecentWarnings


@pytest.fixture
def recent() -> RecentWarnings:
    return RecentWarnings(besides=["letters"])


def log(recent: RecentWarnings, name: str, level: int, message: str, *args: object) -> None:
    record = logging.LogRecord(name, level, __file__, 1, message, args, None)
    if record.levelno >= recent.level:
        recent.handle(record)


def test_it_keeps_the_last_warnings_and_errors(recent: RecentWarnings) -> None:
    for number in range(LINES + 5):
        log(recent, "app", logging.WARNING, "number %d", number)
    log(recent, "app", logging.INFO, "nothing to mind")
    assert len(recent.lines) == LINES
    assert recent.lines[-1].text == f"number {LINES + 4}"


def test_names_of_classes_and_the_rest_of_long_lines_are_left_out(recent: RecentWarnings) -> None:
    log(recent, "app", logging.ERROR, "[^--Progress]: not ready")
    log(recent, "app", logging.ERROR, "x" * 10_000)
    assert recent.lines[0].text == "not ready"
    assert len(recent.lines[1].text) == LONGEST + 3


def test_what_is_shown_elsewhere_does_not_crowd_out_the_rest(recent: RecentWarnings) -> None:
    log(recent, "letters", logging.WARNING, "sent 1 record")
    log(recent, "letters", logging.ERROR, "do not fit")
    assert [line.text for line in recent.lines] == ["do not fit"]


def test_it_is_attached_once(recent: RecentWarnings) -> None:
    root = logging.getLogger()
    try:
        recent.attach()
        recent.attach()
        assert root.handlers.count(recent) == 1
    finally:
        root.removeHandler(recent)
