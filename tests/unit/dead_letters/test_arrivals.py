"""Which letters of a replay that was killed have arrived."""

import tracemalloc

from aiokafka import ConsumerRecord

from app.dead_letters.progress import Note, State, digest
from app.dead_letters.reading import LetterId
from app.dead_letters.sending import Arrivals
from models.dead_letter import REPLAY_OF

LETTER, OTHER = LetterId(0, 12), LetterId(3, 4)


def claim(value: bytes | None = None) -> Note:
    return Note(State.CLAIMED, 1, "t", 0, 5, 1, digest(value) if value is not None else "")


def record(offset: int, value: bytes, *letters: bytes) -> "ConsumerRecord[bytes, bytes]":
    headers = tuple((REPLAY_OF, letter) for letter in letters)
    return ConsumerRecord("t", 0, offset, 0, 0, None, value, None, -1, len(value), headers)


def test_a_letter_is_known_by_its_id_and_value() -> None:
    arrivals = Arrivals({LETTER: claim(b"one"), OTHER: claim(b"two")})
    arrivals.look(record(7, b"one", b"3/4"))
    arrivals.look(record(8, b"two", b"12"))
    assert arrivals.found == {}
    arrivals.look(record(9, b"one", b"12"))
    arrivals.look(record(10, b"two", b"3/4"))
    assert arrivals.found == {LETTER: 9, OTHER: 10}


def test_claims_of_earlier_versions_go_by_the_id_alone() -> None:
    arrivals = Arrivals({LETTER: claim()})
    arrivals.look(record(9, b"any", b"12"))
    assert arrivals.found == {LETTER: 9}


def test_headers_of_strangers_are_not_kept() -> None:
    arrivals = Arrivals({LETTER: claim(b"one")})
    tracemalloc.start()
    try:
        for number in range(20_000):
            arrivals.look(record(number, b"%d" % number, b"%d" % number * 200))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000
