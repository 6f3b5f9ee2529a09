"""What a worker says of itself, and what is not believed of what stands in the topic."""

import json
from typing import Any

import pytest

from app.monitoring.group.snapshot import (
    LARGEST,
    REASONS,
    SEVERAL,
    Counts,
    DatabaseState,
    Delay,
    LastLetter,
    Rates,
    Snapshot,
    Unread,
    decode,
    encode,
    moment,
    name,
    several,
    short,
)
from app.monitoring.page.wording import iso

FULL = Snapshot(
    worker="node-1:6066",
    member="faust-1",
    version="0.2.0",
    at=1_800_000_000.5,
    started=1_799_999_999.0,
    why="Kafka does not answer",
    counts=Counts(5, 1, 2, 1, 1, 0),
    rates=Rates(1.5, 0.5, 1.0, 0.0, 0.0),
    delay=Delay(0.2, 1.5),
    database=DatabaseState(down=True, error="503", requests=1, limit=4, waiting=7),
    held=["completed0"],
    set_aside={"not-json": 1},
    latest=[LastLetter(1_800_000_000.0, "completed0/0 offset 3", "not-json", "not UTF-8")],
)


@pytest.mark.parametrize("snapshot", [FULL, Snapshot("a")])
def test_a_snapshot_is_read_as_it_was_written(snapshot: Snapshot) -> None:
    assert decode(snapshot.worker.encode(), encode(snapshot)) == snapshot


def test_fields_of_a_later_version_are_passed_over() -> None:
    told = json.loads(encode(FULL)) | {"mood": {"good": True}}
    assert decode(b"node-1:6066", json.dumps(told).encode()) == FULL


@pytest.mark.parametrize(
    "change",
    [
        {"worker": "another"},
        {"worker": 5},
        {"why": "x" * 401},
        {"version": "x" * 251},
        {"at": -1},
        {"at": "now"},
        {"at": 1e300},
        {"at": 253_402_300_800},
        {"started": 2.0**53},
        {"unread": [{"topic": "t", "partition": 0, "kept": 2.0**53}]},
        {"latest": [{"at": 2.0**53, "place": "x", "reason": "y", "detail": "z"}]},
        {"counts": {"read": -1}},
        {"counts": {"read": 10**30}},
        {"counts": {"read": 1.5}},
        {"rates": {"read": -0.1}},
        {"held": ["x"] * (SEVERAL + 1)},
        {"held": "completed0"},
        {"set_aside": {str(n): 1 for n in range(REASONS + 1)}},
        {"set_aside": {"not-json": -1}},
        {"latest": [{"at": 1, "place": "x", "reason": "y"}]},
        {"database": {"down": "yes"}},
        {"database": None},
    ],
)
def test_what_no_worker_says_is_not_believed(change: dict[str, Any]) -> None:
    told = json.loads(encode(FULL)) | change
    with pytest.raises(ValueError, match="not a snapshot"):
        decode(b"node-1:6066", json.dumps(told).encode())


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"[" * 40_000, b'{"worker":"a"}' + b" " * LARGEST],
)
def test_junk_raises_nothing_but_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="no"):
        decode(b"a", value)
    with pytest.raises(ValueError, match="no"):
        decode(None, value)


@pytest.mark.parametrize("millis", [-1, 0, 1_800_000_000_000, 2**63 - 1])
def test_any_timestamp_of_a_record_fits(millis: int) -> None:
    unread = Unread("completed0", 0, moment(millis / 1000), moment(millis / 1000 + 3600))
    snapshot = Snapshot("a", unread=[unread])
    assert decode(b"a", encode(snapshot)) == snapshot
    assert iso(unread.oldest)


@pytest.mark.parametrize("text", ["\x1b[31m" * 500, "\ud800" * 900, "ü" * 900, "\n" * 900])
def test_any_text_fits_and_is_printable(text: str) -> None:
    letters = [LastLetter(1.0, name(text), name(text), short(text))] * 50
    snapshot = Snapshot(name(text), held=several([short(text)] * 50), latest=several(letters))
    encoded = encode(snapshot)
    assert len(encoded) < LARGEST
    assert decode(snapshot.worker.encode(), encoded) == snapshot
    assert snapshot.worker.isprintable()
