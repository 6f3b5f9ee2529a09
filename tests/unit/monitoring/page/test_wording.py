import pytest

from app.monitoring.page.wording import delay, duration, iso, moment, number, percent, plural, rate
from app.process.words import listed

NOON = 1_800_014_400.0
"""2027-01-15, 12:00 UTC."""


@pytest.mark.parametrize(
    "seconds,expected",
    [
        (None, "?"),
        (0, "0 ms"),
        (0.25, "250 ms"),
        (4.04, "4.0 s"),
        (59, "59 s"),
        (119, "119 s"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (864_000, "10 days"),
    ],
)
def test_durations_have_the_unit_that_fits(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def test_numbers_are_grouped_and_agree_with_their_nouns() -> None:
    assert [number(None), number(0), number(1234567)] == ["?", "0", "1\u202f234\u202f567"]
    assert [rate(None), rate(0), rate(0.02)] == ["?", "0", "< 0.1"]
    assert [rate(0.12), rate(1234)] == ["0.1", "1\u202f234"]
    assert [plural(1, "record"), plural(2, "record")] == ["1 record", "2 records"]
    assert plural(2, "record is", "records are") == "2 records are"


@pytest.mark.parametrize("at", [1e300, -1e300, float("nan"), float("inf")])
def test_no_time_that_anybody_may_have_written_raises(at: float) -> None:
    assert moment(at, NOON) == "?"
    assert iso(at) == ""


def test_times_of_another_day_have_their_date() -> None:
    assert moment(NOON - 60, NOON) == "11:59:00"
    assert moment(NOON - 86_400, NOON) == "2027-01-14 12:00"
    assert moment(None, NOON) == "?"
    assert iso(NOON) == "2027-01-15T12:00:00+00:00"


@pytest.mark.parametrize(
    "names,expected",
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_lists_are_cut_after_three(names: list[str], expected: str) -> None:
    assert listed(names) == expected


def test_a_delay_beyond_what_is_measured_is_said_to_be() -> None:
    assert [delay(0.25), delay(3600.0)] == ["250 ms", "over 60 minutes"]


def test_only_all_and_nothing_are_rounded_to_the_end() -> None:
    assert [percent(0, 0), percent(0, 9), percent(9, 9)] == ["0 %", "0 %", "100 %"]
    assert [percent(1, 1000), percent(12, 100), percent(999, 1000)] == ["< 1 %", "12 %", "> 99 %"]
