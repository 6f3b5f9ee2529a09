"""What the watcher of a chaos run makes of committed offsets."""

import pytest

from dev.chaos.movement import Movement, Position

A: Position = ("documents", 0)
B: Position = ("documents", 1)
COMPLETED: Position = ("completed0", 0)


@pytest.fixture
def movement() -> Movement:
    return Movement(patience=30)


def test_a_partition_that_moves_or_has_no_lag_is_in_order(movement: Movement) -> None:
    assert movement.observe(0, {A: 1, B: 5}, {A: 9, B: 5}) == []
    assert movement.observe(29, {A: 2, B: 5}, {A: 99, B: 5}) == []
    assert movement.observe(58, {A: 3, B: 5}, {A: 99, B: 5}) == []
    assert movement.lag == 96


def test_a_partition_that_stands_still_with_lag_is_reported_once(movement: Movement) -> None:
    movement.observe(0, {A: 1}, {A: 2})
    assert movement.observe(30, {A: 1}, {A: 2}) == []
    (told,) = movement.observe(31, {A: 1}, {A: 2})
    assert "documents/0: nothing finished for 31 s, committed 1 of 2" in told
    assert movement.observe(60, {A: 1}, {A: 2}) == []


def test_it_is_reported_again_when_it_stops_again(movement: Movement) -> None:
    movement.observe(0, {A: 1}, {A: 9})
    assert movement.observe(31, {A: 1}, {A: 9})
    assert movement.observe(32, {A: 2}, {A: 9}) == []
    assert movement.observe(64, {A: 2}, {A: 9})


def test_a_partition_that_was_never_committed_can_stand_still_too(movement: Movement) -> None:
    movement.observe(0, {}, {A: 3})
    assert movement.observe(31, {}, {A: 3})


def test_time_counts_from_the_end_of_what_excuses_it(movement: Movement) -> None:
    movement.observe(0, {A: 1}, {A: 2})
    assert movement.observe(40, {A: 1}, {A: 2}, excused=True) == []
    assert movement.observe(69, {A: 1}, {A: 2}) == []
    assert movement.observe(71, {A: 1}, {A: 2})


def test_a_commit_that_goes_back_is_reported_even_during_an_outage(movement: Movement) -> None:
    movement.observe(0, {A: 10}, {A: 20})
    (told,) = movement.observe(1, {A: 7}, {A: 20}, excused=True)
    assert "documents/0: the committed offset went back from 10 to 7" in told


def test_a_commit_that_is_gone_went_back(movement: Movement) -> None:
    movement.observe(0, {A: 10}, {A: 20})
    assert "from 10 to 0" in movement.observe(1, {}, {A: 20})[0]


def test_setting_a_group_back_on_purpose_is_in_order(movement: Movement) -> None:
    movement.observe(0, {A: 10, B: 4}, {A: 20, B: 4})
    movement.begins_anew(["documents"])
    assert movement.observe(1, {A: 0, B: 4}, {A: 20, B: 4}) == []
    movement.observe(2, {A: 5, B: 4}, {A: 20, B: 4})
    assert movement.observe(3, {A: 3, B: 4}, {A: 20, B: 4}), "but not twice"


def test_standing_are_those_with_lag_that_have_not_moved_since_the_mark(
    movement: Movement,
) -> None:
    movement.observe(0, {A: 1, B: 1}, {A: 9, B: 9, COMPLETED: 3})
    mark = dict(movement.committed)
    assert movement.standing(mark) == [A, B, COMPLETED]
    movement.observe(1, {A: 2, B: 1}, {A: 9, B: 9, COMPLETED: 3})
    assert movement.standing(mark) == [B, COMPLETED]
    assert movement.standing(mark, ["completed0"]) == [COMPLETED]
    movement.observe(2, {A: 2, B: 9, COMPLETED: 3}, {A: 9, B: 9, COMPLETED: 3})
    assert movement.standing(mark) == []


def test_for_how_long_a_partition_stands_is_known_while_it_has_lag(movement: Movement) -> None:
    movement.observe(0, {A: 1, B: 5}, {A: 9, B: 5})
    movement.observe(4, {A: 1, B: 5}, {A: 9, B: 5})
    movement.observe(5, {A: 1, B: 5}, {A: 9, B: 6})
    assert movement.stands(6) == {A: 6, B: 2}
    movement.observe(6, {A: 9, B: 5}, {A: 9, B: 6})
    assert movement.stands(7) == {B: 3}


def test_while_the_machine_has_no_core_for_them_workers_need_not_get_on(
    movement: Movement,
) -> None:
    movement.observe(0, {A: 1}, {A: 2})
    assert movement.observe(20, {A: 1}, {A: 2}, starved=15) == []
    assert movement.observe(40, {A: 1}, {A: 2}) == []
    assert movement.stands(40) == {A: 25}
    assert movement.observe(46, {A: 1}, {A: 2})
