import itertools

import pytest

from app.couchdb.backoff import Backoff
from app.couchdb.pace import ConcurrencyLimit, RateLimit

KIB = 1024


def answer(
    limit: ConcurrencyLimit,
    at: float,
    latency: float,
    documents: int = 1000,
    size: int = 1000 * KIB,
) -> None:
    in_flight = limit.current
    limit.answered(
        started=at, ended=at + latency, in_flight=in_flight, documents=documents, size=size
    )


def risen(maximum: int = 8) -> ConcurrencyLimit:
    limit = ConcurrencyLimit(maximum)
    for second in range(100):
        answer(limit, second, 0.2)
    return limit


def rounds(limit: ConcurrencyLimit, number: int) -> list[int]:
    """The limit after each of so many rounds that went well."""
    seen = []
    for second in range(300, 300 + number):
        for _ in range(limit.current):
            answer(limit, second, 0.2)
        seen.append(limit.current)
    return seen


def test_it_begins_with_one_and_doubles_each_round_up_to_the_maximum() -> None:
    limit = ConcurrencyLimit(10)
    assert limit.current == 1
    assert rounds(limit, 5) == [2, 4, 8, 10, 10]


def test_after_the_first_overload_it_rises_by_one_a_round() -> None:
    limit = risen(16)
    limit.overloaded(started=200.0, now=200.0)
    limit.overloaded(started=201.0, now=201.0)
    seen = [limit.current, *rounds(limit, 20)]
    assert seen[0] == 4
    assert seen[-1] == 16
    assert {later - earlier for earlier, later in itertools.pairwise(seen)} == {0, 1}


def test_it_does_not_rise_on_answers_that_did_not_use_it() -> None:
    limit = ConcurrencyLimit(8)
    answer(limit, 0, 0.2)
    for second in range(1, 100):
        limit.answered(
            started=second, ended=second + 0.2, in_flight=1, documents=1000, size=1000 * KIB
        )
    assert limit.current == 2


def test_an_overload_halves_it_down_to_one() -> None:
    limit = risen(8)
    seen = []
    for moment in (200.0, 201.0, 202.0, 203.0):
        limit.overloaded(started=moment, now=moment)
        seen.append(limit.current)
    assert seen == [4, 2, 1, 1]


def test_one_round_of_failures_halves_it_once() -> None:
    limit = risen(8)
    for delay in range(8):
        limit.overloaded(started=200.0, now=200.5 + delay)
    assert limit.current == 4


def test_one_large_document_is_not_compared_with_one_small_one() -> None:
    limit = risen(8)
    for second in range(200, 210):
        answer(limit, second, 0.005, documents=1, size=KIB)
        answer(limit, second + 0.5, 1.0, documents=1, size=5000 * KIB)
    assert limit.current == 8


def test_latency_that_has_grown_strongly_lowers_it() -> None:
    limit = risen(8)
    answer(limit, 200, 0.2 * 8 * 4)
    assert limit.current == 4


def test_a_database_that_works_in_turn_is_not_overloaded() -> None:
    limit = ConcurrencyLimit(8)
    for second in range(200):
        answer(limit, second, 0.2 * limit.current)
    assert limit.current == 8


def test_quick_answers_never_lower_it() -> None:
    limit = ConcurrencyLimit(8)
    for second in range(100):
        answer(limit, second, 0.001)
    limit.answered(started=200, ended=200.05, in_flight=1, documents=1000, size=1000 * KIB)
    assert limit.current == 8


def test_large_requests_are_not_compared_with_small_ones() -> None:
    limit = risen(8)
    for second in range(200, 220):
        limit.answered(
            started=second, ended=second + 30, in_flight=1, documents=9000, size=9000 * KIB
        )
    assert limit.current == 8


def test_a_database_that_became_slower_for_good_is_the_new_normal() -> None:
    limit = risen(4)
    for second in range(1000, 2000):
        answer(limit, second, 5.0)
    assert limit.current == 4


def test_without_a_rate_nothing_waits() -> None:
    assert RateLimit(0).reserve(10**9, 0.0) == 0.0


def test_a_second_may_be_spent_at_once_and_no_more() -> None:
    rate = RateLimit(100)
    assert rate.reserve(100, 0.0) == 0.0
    assert rate.reserve(50, 0.0) == pytest.approx(0.5)
    assert rate.reserve(50, 0.5) == pytest.approx(0.5)


def test_an_idle_hour_is_not_saved_up() -> None:
    rate = RateLimit(100)
    rate.reserve(100, 0.0)
    assert rate.reserve(100, 3600.0) == 0.0
    assert rate.reserve(1, 3600.0) > 0.0


def test_a_request_larger_than_a_second_waits_for_its_excess() -> None:
    assert RateLimit(100).reserve(1000, 0.0) == pytest.approx(9.0)


@pytest.mark.parametrize("rate", [5e-324, 0.01, 0.5])
def test_at_less_than_one_a_second_the_first_document_goes_at_once(rate: float) -> None:
    limit = RateLimit(rate)
    assert limit.reserve(1, 0.0) == 0.0
    assert limit.reserve(1, 0.0) == pytest.approx(1 / rate)


def test_a_huge_rate_is_no_rate() -> None:
    limit = RateLimit(1e308)
    assert limit.reserve(1000, 0.0) == limit.reserve(1000, 1e9) == 0.0


def test_what_writes_nothing_does_not_wait() -> None:
    rate = RateLimit(1)
    rate.reserve(100, 0.0)
    assert rate.reserve(0, 0.0) == 0.0


def test_the_rate_holds_over_time() -> None:
    rate, now = RateLimit(100), 0.0
    for _ in range(50):
        now += rate.reserve(30, now)
    assert 100 + 100 * now + 1e-6 >= 50 * 30


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.1, longest=1.0)
    waits = [backoff.delay(attempt, lambda: 1.0) for attempt in range(1, 7)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert backoff.delay(10**6, lambda: 0.0) == pytest.approx(0.5)
