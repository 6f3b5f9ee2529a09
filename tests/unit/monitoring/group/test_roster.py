"""Who is in the group, and who has gone silent: by Kafka's clock, not by the workers'."""

from app.monitoring.group.roster import FORGOTTEN_SECONDS, MOST, Heard, Roster
from app.monitoring.group.snapshot import Snapshot

KAFKA = 1_800_000_000.0
"""Kafka's time when the test begins; this worker's clock is 0 then."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def roster() -> tuple[Roster, Clock]:
    clock = Clock()
    made = Roster(clock)
    made.own = Snapshot("own", member="m-own")
    return made, clock


def by_name(made: Roster) -> dict[str, Heard]:
    return {one.snapshot.worker: one for one in made.workers()}


def test_this_worker_comes_first_then_the_others_by_name() -> None:
    made, _ = roster()
    for name in ("own", "b", "a"):
        made.heard(name, Snapshot(name, member=f"m-{name}"), KAFKA)
    assert [one.snapshot.worker for one in made.workers()] == ["own", "a", "b"]
    assert [one.own for one in made.workers()] == [True, False, False]
    assert made.by_member("m-own") == {"m-own": "own", "m-a": "a", "m-b": "b"}


def test_this_worker_is_known_from_its_join_on_before_it_says_so() -> None:
    made, _ = roster()
    made.own = Snapshot("own")
    assert made.by_member("") == {}
    assert made.by_member("m-own") == {"m-own": "own"}


def test_who_is_silent_while_others_speak_is_missing() -> None:
    made, clock = roster()
    made.heard("a", Snapshot("a"), KAFKA)
    for second in range(5, 25, 5):
        clock.now = float(second)
        made.heard("own", Snapshot("own"), KAFKA + second)
        assert by_name(made)["a"].missing is (second > 15)
    assert by_name(made)["a"].age == 20
    made.heard("a", Snapshot("a"), KAFKA + 21)
    assert not by_name(made)["a"].missing


def test_nobody_is_missing_while_nothing_at_all_is_heard() -> None:
    made, clock = roster()
    made.heard("a", Snapshot("a"), KAFKA)
    clock.now = 60.0
    assert not by_name(made)["a"].missing
    assert by_name(made)["a"].age == 60
    assert made.silence == 60


def test_who_was_silent_before_this_worker_started_is_missing_at_once() -> None:
    made, _ = roster()
    made.heard("a", Snapshot("a"), KAFKA - 40)
    made.heard("b", Snapshot("b"), KAFKA - 2)
    assert made.silence == 0
    assert [one.missing for one in made.workers()] == [False, True, False]


def test_who_stops_in_an_orderly_way_or_was_silent_for_long_is_forgotten() -> None:
    made, clock = roster()
    for name in ("a", "b"):
        made.heard(name, Snapshot(name), KAFKA)
    made.heard("a", None, KAFKA + 1)
    assert list(by_name(made)) == ["own", "b"]
    clock.now = FORGOTTEN_SECONDS + 10
    made.heard("own", Snapshot("own"), KAFKA + clock.now)
    assert list(by_name(made)) == ["own"]


def test_memory_is_bounded() -> None:
    made, _ = roster()
    for number in range(3 * MOST):
        made.heard(f"w{number}", Snapshot(f"w{number}"), KAFKA + number / 1000)
    found = by_name(made)
    assert len(found) == MOST + 1
    assert f"w{3 * MOST - 1}" in found


def test_another_process_by_the_same_name_is_one_of_the_others() -> None:
    made, clock = roster()
    made.own = Snapshot("own", started=20.0)
    made.heard("a", Snapshot("a"), KAFKA)
    made.heard("own", made.own, KAFKA)
    assert [one.snapshot.worker for one in made.others()] == ["a"]
    twin = Snapshot("own", started=10.0)
    made.heard("own", twin, KAFKA)
    assert [one.snapshot for one in made.others()] == [Snapshot("a"), twin]
    assert len(made.workers()) == 2, "by its name, it is this worker"
    clock.now = 20.0
    made.heard("own", made.own, KAFKA + 20)
    assert made.others()[-1].missing, "it was an earlier one"
    made.heard("own", None, KAFKA + 20)
    assert [one.snapshot.worker for one in made.others()] == ["a"]
