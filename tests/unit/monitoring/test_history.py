"""The last hour: bounded, and given out from any moment on."""

from app.monitoring.history import SAMPLES, History, Sample


def sample(at: float, **known: float | None) -> Sample:
    nothing = dict.fromkeys(Sample._fields, 0.0) | {"at": at}
    return Sample(**(nothing | known))  # type: ignore[arg-type]


def test_it_holds_an_hour_and_no_more() -> None:
    history = History()
    for number in range(SAMPLES + 10):
        history.add(sample(5.0 * number))
    assert len(history.since(0.0)["at"]) == SAMPLES
    assert history.since(5.0 * (SAMPLES + 7))["at"] == [5.0 * (SAMPLES + 8), 5.0 * (SAMPLES + 9)]


def test_what_was_not_known_stays_a_gap() -> None:
    history = History()
    assert history.since(0.0) == {name: [] for name in Sample._fields}
    assert history.lately() is None
    history.add(sample(1.0, lag=None, read=2.0))
    history.add(sample(2.0, lag=8.0, read=4.0))
    assert history.since(0.0)["lag"] == [None, 8.0]
    lately = history.lately()
    assert lately is not None
    assert (lately.lag, lately.read) == (8.0, 3.0)
