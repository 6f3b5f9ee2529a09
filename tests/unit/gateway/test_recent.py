import json

import pytest

from openwhisk.gateway.recent import AT_ONCE, OF_ONE, Recent, as_read
from openwhisk.gateway.records import Record
from tests.fakes.time import Clock

SECONDS = 60.0


def record(document_id: str = "guest/a", size: int = 100) -> Record:
    start = f'{{"updated":1,"_id":"{document_id}","x":"'
    document = f'{start}{"x" * (size - len(start) - 2)}"}}'.encode()
    return Record(document_id, b"", 1, document, "1-a")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> Recent:
    return Recent(2 * (100 + OF_ONE) + 50, SECONDS, clock)


def test_what_was_taken_lately_is_there(recent: Recent) -> None:
    taken = record()
    recent.add(taken)
    assert recent.get("guest/a") == taken
    assert recent.get("guest/b") is None


def test_it_is_there_for_a_while(recent: Recent, clock: Clock) -> None:
    assert not recent
    recent.add(record())
    assert recent
    clock.now += SECONDS
    assert not recent
    assert recent.get("guest/a") is None
    assert recent.size == 0


def test_what_is_too_old_goes_a_few_at_a_time(clock: Clock) -> None:
    recent = Recent(10_000_000, SECONDS, clock)
    for number in range(5 * AT_ONCE):
        recent.add(record(f"guest/{number}"))
    clock.now += SECONDS
    assert recent.get(f"guest/{5 * AT_ONCE - 1}") is None
    assert recent.size == 4 * AT_ONCE * (100 + OF_ONE)
    for _ in range(4):
        recent.get("guest/0")
    assert recent.size == 0


def test_the_oldest_go_when_there_is_no_room(recent: Recent) -> None:
    for name in "abc":
        recent.add(record(f"guest/{name}"))
    assert [name for name in "abc" if recent.get(f"guest/{name}")] == ["b", "c"]
    assert recent.size == 2 * (100 + OF_ONE)


def test_one_that_is_larger_than_all_room_pushes_out_nothing(recent: Recent) -> None:
    recent.add(record("guest/a"))
    recent.add(record("guest/b", 2000))
    assert recent.get("guest/a")
    assert recent.get("guest/b") is None


def test_the_same_one_again_counts_once(recent: Recent) -> None:
    recent.add(record())
    recent.add(record())
    assert recent.size == 100 + OF_ONE
    recent.forget("guest/a")
    recent.forget("guest/a")
    assert (recent.size, recent.get("guest/a")) == (0, None)


def test_without_room_nothing_is_kept() -> None:
    off = Recent(0, SECONDS)
    off.add(record())
    assert off.get("guest/a") is None


def test_a_document_reads_as_couchdb_writes_it() -> None:
    read = json.loads(as_read(record()))
    assert list(read) == ["_id", "_rev", "updated", "x"]
    assert (read["_id"], read["_rev"], read["updated"]) == ("guest/a", "1-a", 1)
