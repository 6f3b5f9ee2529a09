"""The compact set of digests."""

import hashlib
import sys

from hypothesis import given
from hypothesis import strategies as st

from app.storing.guard.index import DIGEST_SIZE, HEADER_SIZE, DigestIndex

HEADER = bytes(HEADER_SIZE)


def digest(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=DIGEST_SIZE).digest()


def put(index: DigestIndex, number: int, *members: int) -> None:
    added = b"".join(map(digest, members))
    index.put(number, HEADER + added, added)


def holds(index: DigestIndex, one: bytes) -> bool:
    return index.known([one]) == {one}


def test_an_empty_index_holds_nothing() -> None:
    assert not holds(DigestIndex(), digest(1))


def test_what_was_put_is_found_and_nothing_else() -> None:
    index = DigestIndex()
    put(index, 1, *range(1000))
    assert all(holds(index, digest(number)) for number in range(1000))
    assert not any(holds(index, digest(number)) for number in range(1000, 3000))
    assert len(index) == 1000


def test_of_many_those_that_are_remembered_are_told() -> None:
    index = DigestIndex()
    put(index, 1, *range(0, 100, 2))
    assert index.known([digest(number) for number in range(100)]) == set(
        map(digest, range(0, 100, 2))
    )
    assert index.known([]) == set()


def test_a_dropped_segment_is_not_found_any_more() -> None:
    index = DigestIndex()
    put(index, 1, *range(50))
    put(index, 2, *range(50, 100))
    index.drop(1)
    assert [holds(index, digest(number)) for number in (0, 49, 50, 99)] == [
        False,
        False,
        True,
        True,
    ]
    assert len(index) == 50


def test_a_segment_that_grows_keeps_what_it_had() -> None:
    index = DigestIndex()
    index.put(1, HEADER + digest(1), digest(1))
    index.put(1, HEADER + digest(1) + digest(2), digest(2))
    assert holds(index, digest(1))
    assert holds(index, digest(2))
    assert len(index) == 2


def test_a_digest_across_the_boundary_of_two_others_is_not_found() -> None:
    one, two = digest(1), digest(2)
    across = one[8:] + two[:8]
    index = DigestIndex()
    # Same leading bits as a member, so that the segment is searched.
    member = across[:8] + bytes(8)
    index.put(1, HEADER + one + two + member, one + two + member)
    assert not holds(index, across)


def test_the_header_is_never_taken_for_a_digest() -> None:
    header = digest(7)
    index = DigestIndex()
    alike = header[:8] + bytes(8)
    index.put(1, header + alike, alike)
    assert not holds(index, header)


def test_memory_stays_below_forty_bytes_for_each_record() -> None:
    index = DigestIndex()
    for number in range(200):
        put(index, number + 1, *range(number * 256, (number + 1) * 256))
    for number in range(200, 1000):
        index.drop(number - 199)
        put(index, number + 1, *range(number * 256, (number + 1) * 256))
    slots = sys.getsizeof(index._slots)
    segments = sum(sys.getsizeof(segment) for segment in index._segments.values())
    assert (slots + segments) / len(index) <= 40


@given(
    st.lists(st.tuples(st.booleans(), st.sets(st.integers(0, 500), max_size=40)), max_size=30),
)
def test_it_behaves_as_a_set_of_segments(steps: list[tuple[bool, set[int]]]) -> None:
    index = DigestIndex()
    segments: dict[int, set[int]] = {}
    for number, (drop, members) in enumerate(steps, start=1):
        if drop and segments:
            oldest = min(segments)
            index.drop(oldest)
            del segments[oldest]
        put(index, number, *members)
        segments[number] = members
    held = set().union(*segments.values()) if segments else set()
    assert {number for number in range(501) if holds(index, digest(number))} == held


def test_digests_that_were_made_to_lie_together_cost_no_more_than_a_walk() -> None:
    """Each would otherwise be looked for behind all the others: minutes for a few megabytes."""
    index = DigestIndex()
    alike = [bytes(8) + number.to_bytes(8, "big") for number in range(20_000)]
    put(index, 1, *range(1000))
    for segment, one in enumerate(alike, 2):
        index.put(segment, HEADER + one, one)
    assert 0 < len(index.known(alike)) <= 256
    assert all(holds(index, digest(number)) for number in range(1000))
