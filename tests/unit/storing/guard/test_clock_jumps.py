"""The guard under a clock that jumps by days: nothing false, and bounded all the same."""

import hashlib
from random import Random

import pytest

from app.settings import GuardSettings
from app.storing.guard.guard import Guard
from app.storing.guard.index import DIGEST_SIZE

DAY = 86_400.0
RECORDS = 2000
CHUNK = 300
"""Digests that fill a segment."""


def digests(chunk: int) -> list[bytes]:
    return [
        hashlib.blake2b(f"{chunk}/{number}".encode(), digest_size=DIGEST_SIZE).digest()
        for number in range(CHUNK)
    ]


class Jumping:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def seen(guard: Guard, partition: int, one: bytes) -> bool:
    return guard.known(partition, [one]) == {one}


def guard_on(table: dict[str, bytes], clock: Jumping) -> Guard:
    settings = GuardSettings(PERSISTER_GUARD_RECORDS=RECORDS, PERSISTER_GUARD_AGE=DAY)

    def forget(key: str) -> None:
        del table[key]

    guard = Guard(table, settings, clock=clock, forget=forget)
    guard.bind(b"a database")
    guard.assign([0])
    return guard


@pytest.mark.parametrize("jump", [30 * DAY, -30 * DAY], ids=["forward", "backward"])
def test_what_was_just_remembered_is_known_after_a_jump(jump: float) -> None:
    clock = Jumping()
    guard = guard_on({}, clock)
    guard.remember(0, 0, digests(1))
    clock.now += jump
    guard.remember(0, CHUNK, digests(2))
    assert all(seen(guard, 0, digest) for digest in digests(2))
    assert not any(seen(guard, 0, digest) for digest in digests(3))


def test_entries_of_a_clock_that_was_ahead_go_when_there_are_too_many() -> None:
    clock = Jumping()
    table: dict[str, bytes] = {}
    guard = guard_on(table, clock)
    clock.now += 400 * DAY
    guard.remember(0, 0, digests(0))
    clock.now -= 400 * DAY
    for chunk in range(1, 20):
        guard.remember(0, chunk * CHUNK, digests(chunk))
    assert not any(seen(guard, 0, digest) for digest in digests(0))
    assert all(seen(guard, 0, digest) for digest in digests(19))


@pytest.mark.parametrize("seed", range(5))
def test_however_it_jumps_memory_is_bounded_and_nothing_new_is_taken_for_known(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - not a secret
    clock = Jumping()
    table: dict[str, bytes] = {}
    guard = guard_on(table, clock)
    for chunk in range(100):
        clock.now += random.choice((1, 60, DAY, -DAY, 40 * DAY, -40 * DAY))
        assert not any(seen(guard, 0, digest) for digest in digests(chunk))
        guard.remember(0, chunk * CHUNK, digests(chunk))
        assert seen(guard, 0, digests(chunk)[0])
        assert guard.remembered()[0] <= RECORDS + CHUNK
        assert sum(map(len, table.values())) <= (RECORDS + 2 * CHUNK) * (DIGEST_SIZE + 1)
        if random.random() < 0.1:  # a worker that starts anew
            guard = guard_on(table, clock)
