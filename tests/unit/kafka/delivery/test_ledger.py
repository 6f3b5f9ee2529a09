"""Positions and commits: which records are delivered, and how far may be committed."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.delivery.chunk import Chunk
from app.kafka.delivery.ledger import Admitted, Ledger, OutOfOrderError, Rewind
from app.kafka.delivery.resume import Own

PARTITION = TP("topic", 0)


def records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset, timestamp=0) for offset in offsets]


def offsets(verdict: Admitted | Rewind) -> list[int]:
    assert isinstance(verdict, Admitted)
    return [record.offset for record in verdict.records]


def ledger_at(offset: int) -> Ledger:
    ledger = Ledger()
    ledger.reset({PARTITION: offset})
    return ledger


def deliver(ledger: Ledger, *fetched: int) -> Chunk:
    chunk = Chunk(PARTITION, records(*fetched))
    ledger.deliver(chunk)
    return chunk


def test_what_was_fetched_before_a_position_is_set_is_discarded() -> None:
    assert offsets(Ledger().admit(PARTITION, records(0, 1))) == []


def test_what_was_fetched_for_a_revoked_partition_is_discarded() -> None:
    ledger = ledger_at(5)
    ledger.forget([PARTITION])
    assert offsets(ledger.admit(PARTITION, records(5, 6))) == []


def test_records_from_the_expected_offset_on_are_admitted() -> None:
    assert offsets(ledger_at(5).admit(PARTITION, records(5, 6))) == [5, 6]


def test_what_comes_again_is_trimmed() -> None:
    ledger = ledger_at(5)
    assert offsets(ledger.admit(PARTITION, records(3, 4, 5, 6))) == [5, 6]
    assert offsets(ledger.admit(PARTITION, records(3, 4))) == []


def test_a_jump_ahead_is_fetched_again_once_and_then_believed() -> None:
    ledger = ledger_at(5)
    assert ledger.admit(PARTITION, records(8, 9)) == Rewind(5)
    verdict = ledger.admit(PARTITION, records(8, 9))
    assert offsets(verdict) == [8, 9]
    assert isinstance(verdict, Admitted)
    assert verdict.hole == 5


def test_a_jump_that_the_second_fetch_fills_is_no_hole() -> None:
    ledger = ledger_at(5)
    assert ledger.admit(PARTITION, records(8)) == Rewind(5)
    assert ledger.admit(PARTITION, records(5, 6)) == Admitted(records(5, 6))


def test_a_second_jump_elsewhere_is_checked_again() -> None:
    ledger = ledger_at(5)
    ledger.admit(PARTITION, records(8))
    ledger.skip_to(PARTITION, 8)
    deliver(ledger, 8)
    assert ledger.admit(PARTITION, records(12)) == Rewind(9)


@pytest.mark.parametrize("first", [3, 6])
def test_a_chunk_that_does_not_begin_at_the_position_counts_for_nothing(first: int) -> None:
    ledger = ledger_at(5)
    chunk = deliver(ledger, first)
    chunk.finished = True
    assert not ledger.holds(chunk)
    assert (ledger.position(PARTITION), ledger.committable()) == (5, {})


@pytest.mark.parametrize("fetched", [(5, 4), (5, 5), (5, -1_000_000), (5, 7, 6, 8), (9, 5)])
def test_offsets_that_do_not_increase_are_a_defect(fetched: tuple[int, ...]) -> None:
    ledger = ledger_at(5)
    with pytest.raises(OutOfOrderError, match="topic/0"):
        ledger.admit(PARTITION, records(*fetched))
    assert ledger.position(PARTITION) == 5


def test_nothing_is_committable_before_a_chunk_is_finished() -> None:
    ledger = ledger_at(0)
    deliver(ledger, 0, 1)
    assert ledger.committable() == {}
    assert ledger.committed(PARTITION) == 0


def test_a_chunk_that_finishes_early_waits_for_those_before_it() -> None:
    ledger = ledger_at(0)
    first, second = deliver(ledger, 0, 1), deliver(ledger, 2)
    second.finished = True
    assert ledger.committable() == {}
    first.finished = True
    assert ledger.committable() == {PARTITION: 3}


def test_the_offset_after_a_hole_is_committed_with_its_chunk() -> None:
    ledger = ledger_at(0)
    deliver(ledger, 0, 7).finished = True
    assert ledger.committable() == {PARTITION: 8}


def test_a_chunk_from_before_a_reset_is_never_committed() -> None:
    ledger = ledger_at(0)
    old = deliver(ledger, 0, 1, 2)
    ledger.reset({PARTITION: 0})
    new = deliver(ledger, 0)
    old.finished = True
    assert ledger.committable() == {}
    new.finished = True
    assert ledger.committable() == {PARTITION: 1}


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20), st.data())
def test_whatever_finishes_in_whatever_order_no_commit_passes_an_unfinished_chunk(
    sizes: list[int], data: st.DataObject
) -> None:
    ledger = ledger_at(0)
    chunks = []
    for size in sizes:
        start = ledger.position(PARTITION) or 0
        chunks.append(deliver(ledger, *range(start, start + size)))
    for index in data.draw(st.permutations(range(len(chunks)))):
        chunks[index].finished = True
        ledger.committable()
        unfinished = [chunk.first_offset for chunk in chunks if not chunk.finished]
        assert ledger.committed(PARTITION) == min(unfinished, default=sum(sizes))


def test_the_first_chunk_that_has_not_reached_its_agent_is_known() -> None:
    ledger = ledger_at(0)
    first, second, third = deliver(ledger, 0, 1), deliver(ledger, 2), deliver(ledger, 3)
    assert ledger.untaken(PARTITION) is first
    first.taken = third.taken = True
    assert ledger.untaken(PARTITION) is second
    second.taken = True
    assert ledger.untaken(PARTITION) is None
    assert ledger.untaken(TP("topic", 1)) is None


def test_a_partition_is_at_work_while_its_first_unfinished_chunk_is_at_its_agent() -> None:
    ledger = ledger_at(0)
    assert ledger.at_work() == frozenset()
    first, second = deliver(ledger, 0), deliver(ledger, 1)
    assert ledger.at_work() == frozenset()
    first.taken = True
    assert ledger.at_work() == {first.tp}
    first.finished = True
    ledger.committable()
    assert ledger.at_work() == frozenset(), "the second one is not there yet"
    second.taken = True
    assert ledger.at_work() == {first.tp}


def test_what_is_taken_back_is_delivered_again_and_what_was_before_it_is_committed() -> None:
    ledger = ledger_at(0)
    first, lost, later = deliver(ledger, 0, 1), deliver(ledger, 2), deliver(ledger, 3)
    ledger.take_back(PARTITION, lost.first_offset)
    assert ledger.position(PARTITION) == 2
    later.finished = first.finished = True
    assert ledger.committable() == {PARTITION: 2}
    again = deliver(ledger, 2, 3)
    again.finished = True
    assert ledger.committable() == {PARTITION: 4}


def test_each_part_of_a_chunk_is_committed_when_it_is_finished() -> None:
    ledger = ledger_at(0)
    before, chunk, after = deliver(ledger, 0), deliver(ledger, 1, 2, 3, 5, 8), deliver(ledger, 9)
    chunk.taken = True
    parts = ledger.divide(chunk, 2)
    assert [(part.first_offset, part.next_offset) for part in parts] == [(1, 3), (3, 6), (8, 9)]
    assert all(part.taken for part in parts)
    assert chunk.divided
    assert chunk.records == ()
    for one, committable in (
        (parts[1], {}),
        (after, {}),
        (before, {PARTITION: 1}),
        (parts[0], {PARTITION: 6}),
        (parts[2], {PARTITION: 10}),
    ):
        one.finished = True
        assert ledger.committable() == committable


def test_a_chunk_that_is_to_be_delivered_again_has_no_parts() -> None:
    ledger = ledger_at(0)
    chunk, other = deliver(ledger, 0, 1, 2), deliver(ledger, 3, 4)
    [first, second] = ledger.divide(other, 1)
    ledger.take_back(PARTITION, 4)
    assert ledger.holds(first)
    assert not ledger.holds(second)
    ledger.reset({PARTITION: 0})
    assert not ledger.holds(first)
    assert ledger.divide(chunk, 1) == []


@pytest.mark.parametrize(
    "cut, finished, expected",
    [
        pytest.param(5, 4, 5, id="all before it is finished"),
        pytest.param(5, 2, 4, id="some before it is under way"),
        pytest.param(5, 0, 0, id="nothing is finished"),
        pytest.param(2, 2, 2, id="what was committed is lost, too"),
    ],
)
def test_whoever_goes_back_passes_over_nothing_that_is_not_finished(
    cut: int, finished: int, expected: int
) -> None:
    ledger = ledger_at(0)
    chunks = [deliver(ledger, *pair) for pair in ((0, 1), (2, 3), (4, 5), (6, 7))]
    for chunk in chunks[:finished]:
        chunk.finished = True
    first = ledger.committable() if finished else {}
    ledger.go_back(PARTITION, cut)
    assert ledger.position(PARTITION) == ledger.committed(PARTITION) == expected
    moved = {PARTITION: expected} if first.get(PARTITION, 0) != expected else {}
    assert ledger.committable() == moved
    for chunk in chunks:
        chunk.finished = True
    assert ledger.committable() == {}, "they come again"


def test_what_is_finished_and_not_yet_committed_is_committed_when_it_goes_back() -> None:
    ledger = ledger_at(0)
    deliver(ledger, 0, 1).finished = True
    deliver(ledger, 2)
    ledger.go_back(PARTITION, 2)
    assert ledger.committable() == {PARTITION: 2}


def test_what_kafka_did_not_take_is_still_to_be_committed_when_it_goes_back() -> None:
    ledger = ledger_at(0)
    deliver(ledger, 0, 1).finished = True
    deliver(ledger, 2)
    ledger.committable()
    ledger.put_back([PARTITION])
    ledger.go_back(PARTITION, 2)
    assert ledger.committable() == {PARTITION: 2}


def test_what_may_be_committed_stays_known_when_it_goes_back_until_kafka_takes_that() -> None:
    ledger = ledger_at(0)
    assert ledger.own(TP("topic", 1)) is None
    deliver(ledger, *range(8)).finished = True
    assert ledger.own(PARTITION) == Own(0, 0)
    ledger.committable()
    assert ledger.own(PARTITION) == Own(8, 8)
    ledger.go_back(PARTITION, 3)
    assert ledger.own(PARTITION) == Own(3, 8)
    ledger.taken(ledger.committable() | {TP("topic", 1): 9})
    assert ledger.own(PARTITION) == Own(3, 3)


def test_what_the_group_has_committed_stays_known_where_a_partition_starts_elsewhere() -> None:
    ledger = Ledger()
    ledger.reset({PARTITION: 3}, {PARTITION: 8})
    assert ledger.own(PARTITION) == Own(3, 8)
    ledger.reset({PARTITION: 3}, {PARTITION: None})
    assert ledger.own(PARTITION) == Own(3, 3)
