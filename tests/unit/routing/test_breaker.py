import pytest

from app.routing.breaker import Breakers, Change
from app.settings import BreakerSettings
from tests.fakes.time import Time

TOPIC = "completed0"


def breakers(time: Time, **changes: float) -> Breakers:
    chosen = {"window": 60, "minimum": 100, "ratio": 0.9, "consecutive": 0, "cooldown": 300}
    settings = {f"PERSISTER_BREAKER_{name.upper()}": n for name, n in (chosen | changes).items()}
    return Breakers(BreakerSettings.model_validate(settings), time.clock, time.clock)


def tripped(time: Time) -> Breakers:
    junk = breakers(time)
    assert junk.observe(TOPIC, 100, 100, "not-json: empty") is Change.OPENED
    return junk


def test_a_topic_of_rejected_records_is_held_and_the_reason_is_told() -> None:
    junk = tripped(Time())

    assert junk.holds(TOPIC)
    assert junk.why(TOPIC) == (
        "100 of the last 100 records were rejected, for example: not-json: empty"
    )


def test_other_topics_go_on() -> None:
    junk = tripped(Time())

    assert not junk.holds("completed1")
    assert junk.observe("completed1", 1000, 0) is None
    assert junk.topics()["completed1"] is None


@pytest.mark.parametrize(
    "records, rejected, change",
    [(99, 99, None), (100, 89, None), (100, 90, Change.OPENED), (1000, 900, Change.OPENED)],
)
def test_both_the_number_and_the_ratio_must_be_reached(
    records: int, rejected: int, change: Change | None
) -> None:
    assert breakers(Time()).observe(TOPIC, records, rejected) is change


def test_chunks_are_added_up_over_the_window() -> None:
    time = Time()
    watched = breakers(time)

    changes = []
    for _ in range(10):
        changes.append(watched.observe(TOPIC, 10, 10))
        time.now += 5.9

    assert changes == [None] * 9 + [Change.OPENED]


def test_what_is_older_than_the_window_does_not_count() -> None:
    time = Time()
    watched = breakers(time)

    watched.observe(TOPIC, 99, 99)
    time.now += 60

    assert watched.observe(TOPIC, 99, 99) is None


def test_good_records_in_the_window_keep_the_breaker_closed() -> None:
    watched = breakers(Time())

    watched.observe(TOPIC, 1000, 0)

    assert watched.observe(TOPIC, 1000, 1000) is None


def test_enough_rejected_records_in_a_row_open_it_however_many_were_good_before() -> None:
    watched = breakers(Time(), minimum=0, consecutive=300)

    changes = [watched.observe(TOPIC, 200, n) for n in (0, 200, 199, 200, 200)]

    assert changes == [None, None, None, None, Change.OPENED]
    assert watched.why(TOPIC).startswith("400 records in a row were rejected")


def test_it_can_be_switched_off() -> None:
    watched = breakers(Time(), minimum=0, consecutive=0)

    assert watched.observe(TOPIC, 10**6, 10**6) is None


def test_what_was_fetched_before_it_opened_changes_nothing() -> None:
    junk = tripped(Time())
    before = junk.topics()

    assert junk.observe(TOPIC, 100, 0) is None
    assert junk.observe(TOPIC, 100, 100) is None
    assert junk.topics() == before


def test_after_the_cooldown_the_next_chunk_decides() -> None:
    time = Time()
    junk = tripped(time)
    since = time.now

    time.now += 300
    assert not junk.holds(TOPIC)
    assert junk.observe(TOPIC, 10, 9) is Change.OPENED
    assert junk.holds(TOPIC)
    opened = junk.topics()[TOPIC]
    assert opened is not None
    assert (opened.since, opened.until) == (since, since + 600)

    time.now += 300
    assert junk.observe(TOPIC, 10, 8) is Change.CLOSED
    assert not junk.holds(TOPIC)
    assert junk.topics()[TOPIC] is None
    assert junk.why(TOPIC) == ""


def test_closing_starts_the_count_again() -> None:
    time = Time()
    junk = tripped(time)

    time.now += 300
    junk.observe(TOPIC, 10, 0)

    assert junk.observe(TOPIC, 99, 99) is None


def test_memory_is_bounded_however_many_chunks_come() -> None:
    time = Time()
    watched = breakers(time, minimum=10**9)

    for _ in range(10_000):
        watched.observe(TOPIC, 1, 1)
        time.now += 0.05

    assert len(watched._breakers[TOPIC]._window) <= 61


def test_a_wall_clock_that_is_set_back_prolongs_no_pause() -> None:
    monotonic, wall = Time(), Time()
    wall.now += 1_000_000
    junk = Breakers(BreakerSettings(consecutive=100, cooldown=300), monotonic.clock, wall.clock)
    junk.observe(TOPIC, 100, 100)
    wall.now -= 21_600
    opened = junk.topics()[TOPIC]
    assert opened is not None
    assert (opened.since, opened.until) == (wall.now, wall.now + 300)  # as it says now
    monotonic.now += 300
    assert not junk.holds(TOPIC)


def test_no_decision_is_taken_by_the_wall_clock() -> None:
    time = Time()
    junk = Breakers(BreakerSettings(consecutive=100, cooldown=300), wall=time.clock)
    junk.observe(TOPIC, 100, 100)
    time.now += 1_000_000
    assert junk.holds(TOPIC)
