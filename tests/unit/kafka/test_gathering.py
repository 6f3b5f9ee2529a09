"""Of many records some gather before they are fetched; of few, none has to wait."""

import pytest
from faust.types import TP

from app.kafka.gathering import BUSY, MOST_SECONDS, SHORTEST_FETCH, Gathering
from tests.fakes.time import Time

HERE, THERE = TP("a", 0), TP("b", 3)
BOTH = {HERE, THERE}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def gathering(time: Time) -> Gathering:
    return Gathering(time.clock)


def flow(gathering: Gathering, time: Time, rate: int, seconds: float = 3.0) -> None:
    """Records of a steady rate are taken, ten times a second."""
    for _ in range(int(seconds * 10)):
        time.now += 0.1
        gathering.taken(rate // 10)


def test_the_first_records_after_a_pause_are_followed_at_once(gathering: Gathering) -> None:
    gathering.answered(HERE)
    assert not gathering.seconds_left(BOTH)


def test_what_is_left_out_is_left_out_for_so_long_and_forgotten_with_its_partition(
    gathering: Gathering, time: Time
) -> None:
    gathering.leave_out(HERE, 1.0)
    gathering.leave_out(THERE, 1.0)
    time.now += 0.25
    assert gathering.seconds_left(BOTH) == {HERE: 0.75, THERE: 0.75}
    assert gathering.seconds_left({HERE}) == {HERE: 0.75}
    time.now += 1
    assert not gathering.seconds_left(BOTH)


def test_of_a_trickle_none_waits_for_less_than_a_fetch_without_it_takes(
    gathering: Gathering, time: Time
) -> None:
    enough = BUSY * SHORTEST_FETCH / MOST_SECONDS
    flow(gathering, time, int(enough * 0.7))
    gathering.answered(HERE)
    assert not gathering.seconds_left(BOTH)
    flow(gathering, time, int(enough * 1.4))
    gathering.answered(HERE)
    assert gathering.seconds_left(BOTH)[HERE] >= SHORTEST_FETCH


def test_the_more_records_come_the_longer_they_gather_up_to_a_bound(
    gathering: Gathering, time: Time
) -> None:
    waits = []
    for rate in (BUSY // 3, 2 * BUSY // 3, 3 * BUSY, 100 * BUSY):
        flow(gathering, time, rate)
        gathering.answered(HERE)
        waits.append(gathering.seconds_left(BOTH)[HERE])
    few, twice, *more = waits
    assert few < twice < MOST_SECONDS
    assert twice == pytest.approx(2 * few, rel=0.2)
    assert more == [pytest.approx(MOST_SECONDS)] * 2


def test_each_partition_waits_from_its_own_last_answer(gathering: Gathering, time: Time) -> None:
    flow(gathering, time, 10 * BUSY)
    gathering.answered(HERE)
    time.now += MOST_SECONDS / 2
    gathering.answered(THERE)
    left = gathering.seconds_left(BOTH)
    assert left == {HERE: pytest.approx(MOST_SECONDS / 2), THERE: pytest.approx(MOST_SECONDS)}
    time.now += MOST_SECONDS * 0.6
    assert gathering.seconds_left(BOTH).keys() == {THERE}
    time.now += MOST_SECONDS
    assert not gathering.seconds_left(BOTH)


def test_a_partition_that_is_read_by_another_worker_now_is_forgotten(
    gathering: Gathering, time: Time
) -> None:
    flow(gathering, time, 10 * BUSY)
    gathering.answered(HERE)
    assert not gathering.seconds_left({THERE})
    assert not gathering.seconds_left(BOTH)


def test_once_the_flow_ends_nothing_waits(gathering: Gathering, time: Time) -> None:
    flow(gathering, time, 10 * BUSY)
    time.now += 10.0
    gathering.answered(HERE)
    assert not gathering.seconds_left(BOTH)
