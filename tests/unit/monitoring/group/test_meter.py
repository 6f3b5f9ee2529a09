"""Rates since the last look, delays of the last minute."""

import pytest

from app.monitoring.group.meter import Meter, Moment
from app.monitoring.group.snapshot import Counts, Delay, Rates
from app.monitoring.histogram import Histogram, quantile


def test_rates_are_of_the_time_since_the_last_look() -> None:
    meter = Meter(Histogram((1.0,)))
    assert meter.look(Moment(10.0, Counts(read=100), (0, 0))) == (Rates(), None)
    rates, _ = meter.look(Moment(15.0, Counts(read=150, stored=20, dead_letters=5), (0, 0)))
    assert rates == Rates(read=10.0, stored=4.0, dead_letters=1.0)


def test_delays_are_of_the_last_minute() -> None:
    histogram = Histogram((1.0, 2.0))
    meter = Meter(histogram)
    meter.look(Moment(0.0, Counts(), histogram.counts))
    histogram.observe(1.5, 100)
    _, delay = meter.look(Moment(5.0, Counts(), histogram.counts))
    assert delay == Delay(1.5, pytest.approx(1.99))  # type: ignore[arg-type]
    for number in range(2, 14):
        _, delay = meter.look(Moment(5.0 * number, Counts(), histogram.counts))
    assert delay is None


@pytest.mark.parametrize(
    "counts,share,expected",
    [
        ((0, 0, 0), 0.5, None),
        ((10, 0, 0), 0.5, 0.5),
        ((10, 10, 0), 0.75, 1.5),
        ((0, 0, 3), 0.5, 2.0),
        ((0, 4, 0), 1.0, 2.0),
    ],
)
def test_a_quantile_is_spread_within_its_bucket(
    counts: tuple[int, ...], share: float, expected: float | None
) -> None:
    assert quantile((1.0, 2.0), counts, share) == expected
