"""The guard over its table: what is remembered, for how long, and whose it is."""

import hashlib
import itertools

import pytest

from app.settings import GuardSettings
from app.storing.guard.entries import HEADER, SEGMENT_BYTES
from app.storing.guard.guard import MOST_FORGOTTEN, Guard
from app.storing.guard.index import DIGEST_SIZE
from tests.fakes.time import Clock


def digest(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=DIGEST_SIZE).digest()


def digests(*numbers: int) -> list[bytes]:
    return [digest(number) for number in numbers]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table() -> dict[str, bytes]:
    return {}


def seen(guard: Guard, partition: int, one: bytes) -> bool:
    return guard.known(partition, [one]) == {one}


def guard_on(
    table: dict[str, bytes], clock: Clock, *partitions: int, records: int = 10_000
) -> Guard:
    settings = GuardSettings(PERSISTER_GUARD_RECORDS=records, PERSISTER_GUARD_AGE=3600)

    def forget(key: str) -> None:
        del table[key]

    guard = Guard(table, settings, clock=clock, forget=forget)
    guard.bind(b"a database")
    guard.assign(partitions)
    return guard


def test_what_is_remembered_is_seen_in_its_partition_only(
    table: dict[str, bytes], clock: Clock
) -> None:
    guard = guard_on(table, clock, 0, 1)
    guard.remember(0, 100, digests(1, 2))
    assert seen(guard, 0, digest(1))
    assert not seen(guard, 0, digest(3))
    assert not seen(guard, 1, digest(1))


def test_another_worker_with_the_same_table_knows_it(table: dict[str, bytes], clock: Clock) -> None:
    guard_on(table, clock, 0).remember(0, 100, digests(1, 2))
    assert seen(guard_on(table, clock, 0), 0, digest(2))


def test_a_revoked_partition_is_forgotten(table: dict[str, bytes], clock: Clock) -> None:
    guard = guard_on(table, clock, 0)
    guard.remember(0, 100, digests(1))
    guard.revoke([0])
    assert not seen(guard, 0, digest(1))


def test_nothing_is_written_for_a_partition_that_is_not_assigned(
    table: dict[str, bytes], clock: Clock
) -> None:
    guard_on(table, clock, 1).remember(0, 100, digests(1))
    assert table == {}


def test_entries_of_others_are_dropped_from_the_local_copy(
    table: dict[str, bytes], clock: Clock
) -> None:
    guard_on(table, clock, 0).remember(0, 100, digests(1))
    guard_on(table, clock, 1)
    assert table == {}


def test_small_chunks_share_an_entry_until_it_is_full(
    table: dict[str, bytes], clock: Clock
) -> None:
    guard = guard_on(table, clock, 0)
    for offset in range(600):
        guard.remember(0, offset, digests(offset))
    assert len(table) == 3
    assert all(len(value) <= SEGMENT_BYTES + DIGEST_SIZE for value in table.values())
    assert all(seen(guard, 0, digest(offset)) for offset in range(600))


def test_a_chunk_that_comes_again_adds_to_its_entry(table: dict[str, bytes], clock: Clock) -> None:
    guard = guard_on(table, clock, 0)
    guard.remember(0, 100, digests(*range(300)))
    guard.remember(0, 700, digests(*range(300, 600)))
    guard.remember(0, 100, digests(600))
    again = guard_on(table, clock, 0)
    assert all(seen(again, 0, digest(number)) for number in range(601))


def test_the_oldest_are_forgotten_when_there_are_too_many(
    table: dict[str, bytes], clock: Clock
) -> None:
    guard = guard_on(table, clock, 0, records=1000)
    for chunk in range(10):
        guard.remember(0, chunk * 300, digests(*range(chunk * 300, chunk * 300 + 300)))
    assert not seen(guard, 0, digest(0))
    assert seen(guard, 0, digest(2999))
    assert guard.remembered()[0] <= 1000
    assert len(table) == 3


def test_what_is_too_old_is_forgotten(table: dict[str, bytes], clock: Clock) -> None:
    guard = guard_on(table, clock, 0)
    guard.remember(0, 0, digests(*range(300)))
    clock.now += 4000
    guard.remember(0, 300, digests(*range(300, 600)))
    assert not seen(guard, 0, digest(0))
    assert seen(guard, 0, digest(300))
    assert "0/0" not in table


def test_it_can_be_switched_off(table: dict[str, bytes], clock: Clock) -> None:
    guard = guard_on(table, clock, 0, records=0)
    guard.remember(0, 0, digests(1))
    assert not seen(guard, 0, digest(1))
    assert table == {}


def test_the_order_of_age_survives_a_restart(table: dict[str, bytes], clock: Clock) -> None:
    guard = guard_on(table, clock, 0)
    guard.remember(0, 9, digests(*range(300)))
    clock.now += 10
    guard.remember(0, 10, digests(*range(300, 600)))
    again = guard_on(table, clock, 0, records=500)
    again.remember(0, 11, digests(*range(600, 700)))
    assert not seen(again, 0, digest(0))
    assert seen(again, 0, digest(300))


@pytest.mark.parametrize(
    "key,value",
    [
        ("", bytes(32)),
        ("x/y", bytes(32)),
        ("0", bytes(32)),
        ("0/5 ", bytes(32)),
        ("\u0660/5", bytes(32)),
        ("0/" + "9" * 5000, bytes(32)),
        ("9" * 5000 + "/0", bytes(32)),
        ("0/5", b""),
        ("0/5", b"abc"),
        ("0/5", bytes(15)),
        ("0/5", bytes(20)),
        ("0/5", bytes(33)),
        ("0/5", b"\x7f\xf8" + bytes(30)),
        ("0/5", b"\x7f\xf0" + bytes(30)),
    ],
)
def test_what_is_no_entry_is_dropped_and_the_rest_is_known(
    table: dict[str, bytes], clock: Clock, key: str, value: bytes
) -> None:
    """Whoever may write to the changelog puts anything into the recovered table."""
    guard_on(table, clock, 0).remember(0, 100, digests(1))
    table[key] = value[:8] + table["0/100"][8:16] + value[16:] if len(value) >= 16 else value
    guard = guard_on(table, clock, 0)
    assert list(table) == ["0/100"]
    assert seen(guard, 0, digest(1))
    guard.remember(0, 101, digests(2))
    assert seen(guard, 0, digest(2))


def test_what_is_no_entry_comes_while_a_worker_stands_by(
    table: dict[str, bytes], clock: Clock
) -> None:
    guard = guard_on(table, clock, 0)
    guard.remember(0, 100, digests(1))
    table[""] = b"abc"
    guard.bind(None)
    guard.bind(b"a database")
    assert seen(guard, 0, digest(1))


def test_very_many_entries_are_forgotten_a_few_at_a_time(
    table: dict[str, bytes], clock: Clock
) -> None:
    for number in range(1000):
        table[f"0/{number}"] = HEADER.pack(0.0, bytes(8)) + digest(number)
    clock.now += 7200
    guard = guard_on(table, clock, 0)
    left = []
    for chunk in range(20):
        guard.remember(0, 5000 + chunk, digests(chunk))
        left.append(len(table))
    assert 1000 - left[0] <= MOST_FORGOTTEN
    assert max(before - after for before, after in itertools.pairwise(left)) <= MOST_FORGOTTEN
    assert left[-1] == 1
