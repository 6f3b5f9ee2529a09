"""What the guard remembers holds for the database, and the topics, that it was learnt from."""

import logging
import struct

import pytest

from app.settings import GuardSettings
from app.storing.guard.guard import Guard

DIGEST = b"d" * 16
OTHER = b"o" * 16


def guard_on(table: dict[str, bytes], identity: bytes | None, prefix: str = "") -> Guard:
    guard = Guard(
        table,
        GuardSettings(),
        clock=lambda: 1000.0,
        forget=table.__delitem__,
        topic_prefix=prefix,
    )
    guard.assign([0])
    guard.bind(identity)
    return guard


def knows(guard: Guard, digest: bytes = DIGEST) -> bool:
    return bool(guard.known(0, [digest]))


def test_another_database_has_another_memory(caplog: pytest.LogCaptureFixture) -> None:
    table: dict[str, bytes] = {}
    guard_on(table, b"one").remember(0, 5, [DIGEST])
    assert knows(guard_on(table, b"one"))
    assert not knows(guard_on(table, b"another"))
    assert not knows(guard_on(table, b"one", prefix="other-"))
    assert any("another database" in message for message in caplog.messages)


def test_nothing_is_relied_on_before_the_database_has_answered() -> None:
    table: dict[str, bytes] = {}
    guard_on(table, b"one").remember(0, 5, [DIGEST])
    guard = guard_on(table, None)
    assert not knows(guard)
    guard.remember(0, 9, [OTHER])
    guard.bind(b"one")
    assert knows(guard)
    assert not knows(guard, OTHER)


def test_it_forgets_when_another_database_takes_the_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard = guard_on({}, b"one")
    guard.remember(0, 5, [DIGEST])
    guard.bind(b"another")
    assert not knows(guard)
    assert guard.remembered() == {0: 0}
    assert sum("forgets 1 records" in message for message in caplog.messages) == 1
    guard.remember(0, 5, [OTHER])
    assert knows(guard, OTHER)
    assert not knows(guard)


def test_entries_of_an_older_version_are_not_relied_on() -> None:
    table = {"0/5": struct.pack(">d8x", 999.0) + DIGEST}
    guard = guard_on(table, b"one")
    assert not knows(guard)
    guard.remember(0, 5, [OTHER])
    assert knows(guard_on(table, b"one"), OTHER)
    assert not knows(guard_on(table, b"one"))


def test_two_deployments_with_one_application_id_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def segment(begun: float, table: dict[str, bytes]) -> bytes:
        [value] = table.values()
        return struct.pack(">d", begun) + value[8:]

    ours: dict[str, bytes] = {}
    theirs: dict[str, bytes] = {}
    guard_on(ours, b"one").remember(0, 1, [DIGEST])
    guard_on(theirs, b"another").remember(0, 2, [OTHER])
    table = {"0/1": segment(1, ours), "0/2": segment(2, theirs), "0/3": segment(3, ours)}
    guard_on(table, b"one")
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "PERSISTER_APP_ID" in errors[0]
