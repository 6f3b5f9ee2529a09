"""The judge: what stands still, why, since when, and whether a restart may mend it."""

from dataclasses import dataclass, field, replace

import pytest
from faust.types import TP

from app.kafka.group_view import STABLE, GroupView, Member, Reach
from app.kafka.topics import TopicNames
from app.monitoring.progress.facts import Silence, Worker
from app.monitoring.progress.judge import Judge
from app.monitoring.progress.rules import Rules, rules_of
from app.monitoring.progress.verdict import State, Verdict
from app.settings import load

RULES = Rules(
    documents="documents",
    required=("documents",),
    wanted=lambda topic: topic.startswith("completed"),
    discovery=4.0,
    in_flight=1000,
    request_timeout=60.0,
    session=10.0,
)
INPUT, DOCUMENTS = TP("completed0", 0), TP("documents", 0)
WALL = 1_700_000_000.0
PAUSE = 2.0


@dataclass
class World:
    """A group of this worker, "me", and of another one; everything moves as it is told."""

    judge: Judge = field(default_factory=lambda: Judge(RULES))
    now: float = 0.0
    state: str = STABLE
    reaches: dict[TP, Reach] = field(
        default_factory=lambda: {INPUT: Reach(0, 10, 10), DOCUMENTS: Reach(0, 10, 10)}
    )
    held: dict[str, set[TP]] = field(default_factory=lambda: {"me": {INPUT, DOCUMENTS}})
    topics: set[str] = field(default_factory=lambda: {"completed0", "documents"})
    worker: Worker = field(default_factory=lambda: Worker(member="me", generation=1))
    silent: str = ""
    set_by: float = 0.0

    def look(self) -> Verdict:
        members = {
            name: Member(f"host-of-{name}", frozenset(held)) for name, held in self.held.items()
        }
        view = GroupView(self.state, members, frozenset(self.topics), dict(self.reaches))
        seen = Silence(self.silent) if self.silent else view
        return self.judge.look(self.now, WALL + self.set_by + self.now, seen, self.worker)

    def after(self, seconds: float) -> Verdict:
        """The verdict when nothing has changed for so long."""
        verdict = self.look()
        for _ in range(int(seconds / PAUSE)):
            self.now += PAUSE
            verdict = self.look()
        return verdict

    def database(self, **changes: object) -> None:
        database = replace(self.worker.database, **changes)  # type: ignore[arg-type]
        self.worker = replace(self.worker, database=database)


def test_nothing_unread_is_idle_and_ready_for_as_long_as_it_lasts() -> None:
    verdict = World().after(3600)
    assert (verdict.state, verdict.not_ready, verdict.stuck_for) == (State.IDLE, None, 0.0)


def test_what_is_committed_moves() -> None:
    world = World()
    for committed in range(0, 1000, 10):
        world.reaches[INPUT] = Reach(0, 1000, committed)
        verdict = world.look()
        world.now += 5.0
        assert verdict.not_ready is None
        assert verdict.partitions[INPUT].state is State.MOVING
    assert verdict.lag() == 10


def test_something_unread_that_does_not_move_is_not_ready_in_15_seconds_and_then_stuck() -> None:
    world = World()
    world.after(3600)
    world.reaches[INPUT] = Reach(0, 12, 10)
    assert world.after(4).not_ready is None
    verdict = world.after(8)
    assert verdict.state is State.STUCK
    assert verdict.not_ready == "completed0/0: nothing is committed, for no known reason"
    # Since something has been unread, not since the last commit.
    assert verdict.since == WALL + 3600
    assert verdict.partitions[INPUT].since == WALL + 3600
    assert world.after(50).stuck_for == 62.0


def test_new_records_are_not_movement() -> None:
    world = World()
    for end in range(11, 40):
        world.reaches[INPUT] = Reach(0, end, 10)
        verdict = world.look()
        world.now += PAUSE
    assert verdict.state is State.STUCK


def test_records_that_retention_deleted_are_not_unread() -> None:
    world = World()
    world.reaches[INPUT] = Reach(20, 20, 10)
    assert world.after(60).not_ready is None


def test_a_partition_that_was_never_committed_is_unread_from_its_start() -> None:
    world = World()
    world.reaches[INPUT] = Reach(5, 10, None)
    verdict = world.after(20)
    assert verdict.state is State.STUCK
    assert verdict.lag() == 5


def test_many_partitions_are_one_reason() -> None:
    world = World()
    stuck = {TP("completed0", number): Reach(0, 5, 0) for number in range(5)}
    world.reaches |= stuck
    world.held["me"] |= set(stuck)
    why = world.after(20).not_ready
    assert why is not None
    assert why.startswith("completed0/0, completed0/1, completed0/2 and 2 more: ")


def test_a_partition_that_nobody_holds_is_shown_by_every_worker() -> None:
    world = World(held={"me": {DOCUMENTS}, "other": set()})
    verdict = world.after(12)
    assert verdict.not_ready == "completed0/0: nobody reads it"
    assert verdict.partitions[INPUT].holder is None
    assert world.after(60).stuck_for > 60


def test_what_another_member_assigns_to_none_ends_no_worker_but_the_one_that_leads() -> None:
    world = World(held={"me": {DOCUMENTS}, "stranger": set()})
    world.worker = replace(world.worker, leads=False)
    verdict = world.after(600)
    assert (verdict.stuck_for, verdict.state) == (0.0, State.WAITING)
    assert "completed0/0: nobody reads it: another member leads" in (verdict.not_ready or "")
    assert verdict.partitions[INPUT].state is State.WAITING
    world.worker = replace(world.worker, leads=True)
    assert world.after(60).stuck_for > 60


def test_what_stood_still_before_its_holder_was_lost_counts() -> None:
    world = World()
    world.after(100)
    world.reaches[INPUT] = Reach(0, 12, 10)
    assert world.after(6).not_ready is None
    world.held = {"other": {DOCUMENTS}}
    assert world.after(2).not_ready == "completed0/0: nobody reads it"


def test_a_new_partition_has_the_time_of_the_discovery() -> None:
    world = World()
    world.after(10)
    new = TP("completed1", 0)
    world.reaches[new] = Reach(0, 3, None)
    assert world.after(10).not_ready is None
    assert world.after(4).not_ready == "completed1/0: nobody reads it"
    world.held["me"].add(new)
    world.reaches[new] = Reach(0, 3, 3)
    assert world.after(0).not_ready is None


def test_what_another_worker_holds_is_not_ours_but_shown() -> None:
    world = World(held={"me": {DOCUMENTS}, "other": {INPUT}})
    world.reaches[INPUT] = Reach(0, 12, 10)
    verdict = world.after(120)
    assert (verdict.not_ready, verdict.stuck_for, verdict.lag()) == (None, 0.0, 0)
    shown = verdict.partitions[INPUT]
    assert (shown.state, shown.holder, shown.mine) == (State.WAITING, "host-of-other", False)


def test_a_worker_that_is_no_member_is_not_ready_though_nothing_is_unread() -> None:
    world = World(held={"other": {INPUT, DOCUMENTS}})
    verdict = world.after(12)
    assert verdict.state is State.STUCK
    assert "not know this worker" in (verdict.not_ready or "")
    assert world.after(60).stuck_for > 60


def test_the_holders_are_remembered_while_the_group_rebalances() -> None:
    world = World()
    world.after(10)
    world.state, world.held = "PreparingRebalance", {"me": set()}
    verdict = world.after(6)
    assert verdict.not_ready is None
    assert verdict.partitions[INPUT].mine


def test_a_clock_that_is_set_back_does_not_make_what_stands_still_move() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.worker = replace(world.worker, unsent="Kafka does not take records")
    world.after(12)
    world.set_by = -21_600.0
    world.held = {"me": {DOCUMENTS}, "other": {INPUT}}
    world.look()
    world.held = {"me": {DOCUMENTS, INPUT}, "other": set()}
    verdict = world.look()
    assert "completed0/0: Kafka does not take records" in (verdict.not_ready or "")
    assert verdict.since == WALL + world.set_by


def test_a_rebalance_does_not_make_what_stands_still_move() -> None:
    """Or a worker beside one that crashes again and again would be ready half of the time."""
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.worker = replace(world.worker, unsent="Kafka does not take records")
    assert "does not take" in (world.after(12).not_ready or "")
    for generation in range(2, 6):
        world.worker = replace(world.worker, rebalancing=True, generation=generation)
        verdict = world.after(4)
        assert "completed0/0: Kafka does not take records" in (verdict.not_ready or "")
        assert verdict.since == WALL
        world.held = {"me": {DOCUMENTS}, "other": {INPUT}}
        world.worker = replace(world.worker, rebalancing=False)
        assert world.look().not_ready is None  # the other's now
        world.held = {"me": {DOCUMENTS, INPUT}, "other": set()}
        verdict = world.look()
        assert "completed0/0" in (verdict.not_ready or "")
        assert verdict.stuck_for < PAUSE
    world.reaches[INPUT] = Reach(0, 20, 11)
    assert world.look().not_ready is None
    world.worker = replace(world.worker, rebalancing=True)
    assert world.after(4).not_ready is None


def test_what_has_stood_still_and_waits_for_its_pace_by_now_is_patient_in_a_rebalance() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 5000, 10)
    for turn in range(10):
        world.database(busy=True, answers=turn)
        verdict = world.after(PAUSE)
    assert "stores nothing" in (verdict.not_ready or "")
    for turn in range(1, 10):
        world.database(busy=True, answers=turn, stored=turn)
        assert world.after(PAUSE).not_ready is None
    world.worker = replace(world.worker, rebalancing=True)
    assert world.look().not_ready is None


def test_a_rebalance_without_end_is_not_ready_and_then_stuck() -> None:
    world = World()
    world.after(10)
    world.worker = replace(world.worker, rebalancing=True)
    assert world.after(4).not_ready is None
    assert (world.after(8).not_ready or "").startswith("rebalancing")
    assert world.after(60).stuck_for > 60


def test_rebalances_that_go_on_are_not_stuck() -> None:
    world = World()
    for generation in range(2, 20):
        world.worker = replace(world.worker, rebalancing=True, generation=generation)
        assert world.after(10).stuck_for <= 10.0


def test_a_group_that_is_not_stable_for_long_is_stuck() -> None:
    world = World(state="PreparingRebalance")
    assert "PreparingRebalance" in (world.after(12).not_ready or "")
    assert world.after(60).stuck_for > 60


def test_what_a_rebalance_took_does_not_count_afterwards() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.worker = replace(world.worker, rebalancing=True)
    world.after(50)
    world.worker = replace(world.worker, rebalancing=False)
    assert world.after(20).stuck_for == 20.0


def test_a_start_is_not_ready_at_once_and_stuck_only_without_a_step_forward() -> None:
    world = World(worker=Worker(started=False), held={})
    assert world.look().not_ready == "starting: waiting for a first assignment"
    for left in range(100, 0, -1):
        world.worker = replace(world.worker, recovery_left=left)
        assert world.after(10).not_ready is not None
    assert "guard's table (1 changes left)" in (world.look().not_ready or "")
    world.held = {"me": {INPUT, DOCUMENTS}}
    world.worker = replace(world.worker, member="me")
    assert world.look().stuck_for <= 12.0
    assert world.after(60).stuck_for >= 60


def test_a_group_that_does_not_take_the_worker_is_named_in_what_is_not_ready() -> None:
    full = "The consumer group persister is full: end a worker"
    world = World(worker=Worker(started=False, refused=full), held={})
    assert world.look().not_ready == f"starting: waiting for a first assignment ({full})"
    world = World(worker=Worker(member="me", generation=1, refused=full, rebalancing=True))
    assert f"next assignment ({full})" in (world.after(60).not_ready or "")
    world = World(worker=Worker(member="me", generation=1, refused=full), held={})
    assert f"a member of its consumer group ({full})" in (world.after(60).not_ready or "")


def test_kafka_away_is_waited_for_whatever_else_stands_still() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.after(20)
    world.silent = "connection refused"
    verdict = world.after(600)
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    assert verdict.not_ready == "Kafka does not answer: connection refused"
    world.silent = ""
    # What stood still before has not moved; it has had no chance, though.
    verdict = world.look()
    assert verdict.not_ready == (
        "completed0/0: nothing is committed yet; until a moment ago: Kafka does not answer: "
        "connection refused"
    )
    assert verdict.stuck_for == 0.0
    assert world.after(20).state is State.STUCK


def test_a_start_without_kafka_is_waited_for() -> None:
    world = World(worker=Worker(started=False), silent="connection refused")
    verdict = world.after(600)
    assert verdict.stuck_for == 0.0
    assert "starting" in (verdict.not_ready or "")
    assert "connection refused" in (verdict.not_ready or "")


def test_a_worker_that_starts_without_a_database_is_not_ready_for_a_moment() -> None:
    world = World()
    world.database(failing="HTTP 401")
    assert world.look().not_ready == "the database takes no documents: HTTP 401"
    world.database(failing="")
    assert world.after(2).not_ready is None
    # Once ready, it is given the time that a pause may take.
    world.database(failing="HTTP 503")
    assert world.after(4).not_ready is None


def test_a_database_that_says_at_last_why_it_is_silent_does_not_make_the_worker_ready() -> None:
    world = World()
    world.look()
    world.reaches[DOCUMENTS] = Reach(0, 20, 10)
    world.database(busy=True)
    assert "stores nothing" in (world.after(12).not_ready or "")
    world.database(failing="nothing answers in time", answers=1)
    verdict = world.after(2)
    assert verdict.not_ready == "the database takes no documents: nothing answers in time"
    assert verdict.since == WALL


def test_a_database_that_is_down_is_waited_for() -> None:
    world = World()
    world.look()
    world.reaches[DOCUMENTS] = Reach(0, 20, 10)
    world.database(failing="connection refused", busy=True)
    assert world.after(6).not_ready is None
    verdict = world.after(600)
    assert verdict.not_ready == "the database takes no documents: connection refused"
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    shown = verdict.partitions[DOCUMENTS]
    assert (shown.state, shown.why) == (State.WAITING, "connection refused")


def test_a_database_that_has_just_come_back_is_the_reason_until_the_next_commit() -> None:
    world = World()
    world.look()
    world.reaches[DOCUMENTS] = Reach(0, 20, 10)
    world.database(failing="connection refused", busy=True)
    world.after(20)
    world.database(failing="", busy=False, stored=10, finished=10, answers=1)
    verdict = world.look()
    assert verdict.not_ready is not None
    assert "until a moment ago: connection refused" in verdict.not_ready
    assert verdict.stuck_for == 0.0
    # What is stored and never committed is trouble of another kind.
    verdict = world.after(20)
    assert verdict.not_ready == "documents/0: nothing is committed, for no known reason"
    assert verdict.stuck_for > 0


def test_a_database_that_is_down_is_said_by_a_worker_with_nothing_unread_too() -> None:
    world = World()
    world.database(failing="connection refused")
    assert world.after(20).not_ready is not None


def test_a_slow_database_sets_the_pace() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    for stored in range(100):
        world.database(stored=stored, answers=stored, busy=True)
        verdict = world.after(4)
        assert (verdict.not_ready, verdict.stuck_for) == (None, 0.0)
    shown = verdict.partitions[DOCUMENTS]
    assert (shown.state, shown.why) == (State.WAITING, "waiting at the pace of the database")


def test_a_database_that_only_says_slow_down_stores_nothing() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    for answers in range(100):
        world.database(answers=answers, busy=True, last_error="429")
        verdict = world.after(2)
    assert verdict.stuck_for == 0.0
    assert verdict.not_ready == "documents/0: the database stores nothing; it last said: 429"


def test_duplicates_that_are_dropped_are_no_pace_of_a_frozen_database() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.database(stored=100, answers=1, busy=True)
    world.after(4)
    for finished in range(0, 100, 20):
        world.database(stored=100, finished=finished, answers=1, busy=True)
        verdict = world.after(4)
    assert verdict.not_ready == "documents/0: the database stores nothing"
    assert verdict.stuck_for == 0.0


def test_a_request_without_an_answer_is_waited_for_no_longer_than_its_time_out() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.database(busy=True)
    assert world.after(60).state is State.WAITING
    assert world.after(20).state is State.STUCK


PACED = "waiting for the pace that PERSISTER_DOCUMENTS_PER_SECOND sets"


def test_what_waits_on_purpose_stays_ready_for_as_long_as_it_takes() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    for stored in range(5):
        world.database(stored=stored, answers=stored, busy=True, waits="")
        assert world.after(2).not_ready is None, "a request is under way"
        world.database(stored=stored, answers=stored, busy=True, waits=PACED)
        verdict = world.after(100)
        assert (verdict.not_ready, verdict.stuck_for) == (None, 0.0)
        shown = verdict.partitions[DOCUMENTS]
        assert (shown.state, shown.why) == (State.WAITING, PACED)


def test_a_request_that_went_after_a_pause_and_is_not_answered_counts_from_then() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.database(busy=True, waits=PACED)
    world.after(100)
    world.database(waits="")
    assert world.after(6).not_ready is None
    assert world.after(4).not_ready == "documents/0: the database stores nothing"


def test_a_first_failure_after_a_pause_is_no_standstill_yet() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.database(busy=True, waits=PACED)
    world.after(100)
    world.database(waits="", failing="connection refused", answers=1)
    assert world.after(4).not_ready is None
    assert world.after(6).not_ready == "the database takes no documents: connection refused"


def test_a_chunk_that_the_others_pass_is_stuck_at_any_pace() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.worker = replace(world.worker, at_work=frozenset({DOCUMENTS}))
    for turn in range(100):
        world.database(stored=turn * 100, answers=turn, busy=True, waits=PACED)
        verdict = world.after(2)
    assert verdict.state is State.STUCK


def test_a_chunk_that_the_others_pass_is_stuck() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.worker = replace(world.worker, at_work=frozenset({DOCUMENTS}))
    for turn in range(100):
        world.database(stored=turn * 100, answers=turn, busy=True)
        verdict = world.after(2)
    assert verdict.state is State.STUCK
    assert "what came after it is stored" in (verdict.not_ready or "")


def test_a_database_that_is_only_compared_with_moves() -> None:
    world = World(Judge(RULES))
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.worker = replace(world.worker, at_work=frozenset({DOCUMENTS}))
    for second in range(0, 200, 2):
        world.database(stored=10, answers=3, compared=second, busy=True)
        assert world.after(2).not_ready is None


def test_at_a_low_rate_a_chunk_that_the_others_pass_is_stuck_in_minutes() -> None:
    world = World(Judge(replace(RULES, in_flight=16_000, paced=69.0)))
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    world.worker = replace(world.worker, at_work=frozenset({DOCUMENTS}))
    for second in range(0, 8 * 69, 2):
        seconds = 100 * second
        world.database(
            stored=second, compared=seconds, finished=seconds, busy=True, waits="its pace"
        )
        verdict = world.after(2)
        assert (verdict.not_ready, verdict.stuck_for) == (None, 0.0), "duplicates pass at any rate"
    for second in range(8 * 69, 8 * 69 + 20, 2):
        world.database(stored=second, busy=True, waits="its pace")
        verdict = world.after(2)
    assert verdict.state is State.STUCK
    assert "what came after it is stored" in (verdict.not_ready or "")


@pytest.mark.parametrize("rate, paced", [(0, None), (0.1, 15), (1, 69), (10, 690)])
def test_what_may_be_in_front_of_a_chunk_is_told_by_the_rate(
    monkeypatch: pytest.MonkeyPatch, rate: float, paced: float | None
) -> None:
    monkeypatch.setenv("PERSISTER_DOCUMENTS_PER_SECOND", str(rate))
    settings = load()
    assert rules_of(settings, TopicNames()).paced == paced


def test_what_has_waited_on_purpose_is_not_held_against_a_database_that_begins_to_fail() -> None:
    world = World()
    world.database(busy=True, waits="a pause")
    assert world.after(600).not_ready is None
    world.database(failing="HTTP 503")
    assert world.after(2).not_ready is None
    assert world.after(20).not_ready == "the database takes no documents: HTTP 503"


def test_a_partition_waits_while_what_was_fetched_of_others_is_stored() -> None:
    """As after a burst, with a slow database: each chunk is thousands of documents."""
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    in_flight = RULES.in_flight
    for turn in range(1, 41):
        world.database(stored=turn * in_flight, answers=turn, busy=True)
        verdict = world.after(4)
        assert (verdict.not_ready, verdict.stuck_for) == (None, 0.0)
    world.worker = replace(world.worker, at_work=frozenset({DOCUMENTS}))
    for turn in range(41, 48):
        world.database(stored=turn * in_flight, answers=turn, busy=True)
        assert world.after(4).state is State.WAITING, "it waits behind what is in flight now"
    for turn in range(48, 60):
        world.database(stored=turn * in_flight, answers=turn, busy=True)
        verdict = world.after(4)
    assert verdict.state is State.STUCK


def test_a_partition_whose_records_never_reach_their_agent_is_stuck() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    for turn in range(100):
        world.database(stored=turn * RULES.in_flight, answers=turn, busy=True)
        verdict = world.after(2)
    assert "what came after it is stored" in (verdict.not_ready or "")


def test_documents_that_no_request_carries_are_stuck() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 900, 10)
    assert world.after(20).state is State.STUCK


def test_a_topic_that_is_held_on_purpose_is_waited_for_by_a_ready_worker() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 900, 10)
    world.worker = replace(world.worker, held={"completed0": "100 of 100 rejected"})
    verdict = world.after(120)
    assert (verdict.not_ready, verdict.stuck_for, verdict.state) == (None, 0.0, State.WAITING)
    assert verdict.partitions[INPUT].why == "100 of 100 rejected"


def test_a_topic_of_others_that_may_not_be_read_is_waited_for_by_a_ready_worker() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 900, 10)
    world.worker = replace(world.worker, unreadable={"completed0": "no Read"})
    verdict = world.after(120)
    assert (verdict.not_ready, verdict.stuck_for, verdict.state) == (None, 0.0, State.WAITING)
    assert verdict.partitions[INPUT].why == "no Read"


def test_a_leader_that_does_not_say_what_it_has_is_named_and_no_restart_mends_it() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 900, 10)
    world.worker = replace(world.worker, unanswered=frozenset({INPUT}))
    verdict = world.after(120)
    assert (verdict.stuck_for, verdict.state) == (0.0, State.WAITING)
    assert verdict.partitions[INPUT].why.startswith("its new leader does not say")


@pytest.mark.parametrize("lag", [0, 90])
def test_a_worker_whose_own_topic_may_not_be_read_is_not_ready_and_no_restart_mends_it(
    lag: int,
) -> None:
    world = World()
    world.after(3600)
    world.reaches[DOCUMENTS] = Reach(0, 10 + lag, 10)
    world.worker = replace(world.worker, unreadable={"documents": "no Read"})
    assert world.after(4).not_ready is None
    verdict = world.after(8)
    assert verdict.not_ready == "the topic documents may not be read: no Read"
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    world.worker = replace(world.worker, unreadable={})
    world.reaches[DOCUMENTS] = Reach(0, 10 + lag, 10 + lag)
    assert world.after(2).not_ready is None


def test_a_worker_that_was_never_ready_is_not_taken_for_ready_without_its_own_topic() -> None:
    world = World(worker=Worker(member="me", generation=1, unreadable={"documents": "no Read"}))
    assert "may not be read" in (world.look().not_ready or "")


def test_an_own_topic_that_is_gone_is_mended_by_a_restart() -> None:
    world = World(topics={"completed0"})
    verdict = world.after(12)
    assert verdict.not_ready == (
        "the topic documents is gone, or may not be seen any more (the right Describe): if it is "
        "gone, a start makes it again"
    )
    assert world.after(60).stuck_for > 60


def test_a_partition_without_a_leader_is_waited_for() -> None:
    world = World()
    world.reaches[INPUT] = Reach(None, None, 10)
    verdict = world.after(120)
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    assert verdict.not_ready == "completed0/0: Kafka does not say where it ends"


def test_a_worker_that_was_frozen_has_seen_nothing_meanwhile() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.look()
    world.now += 3600
    assert world.look().stuck_for <= 10.0


def test_a_worker_that_stops_is_not_ready_and_never_stuck() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.worker = replace(world.worker, stopping=True)
    verdict = world.after(600)
    assert (verdict.not_ready, verdict.stuck_for) == ("stopping", 0.0)


@pytest.mark.parametrize("holder", ["me", "other"])
def test_what_waited_for_the_database_is_not_stuck_when_the_group_is_empty_for_a_moment(
    holder: str,
) -> None:
    world = World(held={"me": {INPUT}, "other": set()})
    world.held[holder].add(DOCUMENTS)
    world.reaches[DOCUMENTS] = Reach(0, 20, 10)
    world.database(failing="connection refused", busy=True)
    world.after(3600)
    world.state, world.held = "Empty", {}
    assert world.after(4).stuck_for <= 4.0


def test_a_long_recovery_of_the_table_after_a_rebalance_is_not_stuck() -> None:
    world = World()
    world.after(10)
    for left in range(60, 0, -1):
        world.worker = replace(world.worker, rebalancing=True, recovery_left=left)
        assert world.after(4).stuck_for == 0.0
    assert world.after(80).stuck_for > 60


def test_a_full_queue_in_front_of_a_slow_database_is_its_pace() -> None:
    world = World()
    world.reaches[DOCUMENTS] = Reach(0, 5000, 10)
    written = finished = 0
    # In front: what may be in flight and the chunk that exceeded it; then a chunk of its own. Each
    # document is counted when it is written, and again when its chunk is finished.
    while written < RULES.in_flight + 250 + 250:
        written += 5
        finished = min(written, RULES.in_flight + 250) // 250 * 250
        world.database(stored=written, finished=finished, answers=written, busy=True)
        assert world.after(2).stuck_for == 0.0


def test_what_kafka_throttles_is_waited_for() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.worker = replace(world.worker, throttled="Kafka throttles this client, for 20 s now")
    verdict = world.after(600)
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    assert verdict.not_ready == "completed0/0: Kafka throttles this client, for 20 s now"


def test_a_start_that_kafka_throttles_takes_its_time() -> None:
    throttled = "Kafka throttles this client, for 20 s now"
    world = World(worker=Worker(started=False, throttled=throttled, recovery_left=9), reaches={})
    verdict = world.after(600)
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    assert verdict.not_ready is not None
    assert throttled in verdict.not_ready


def test_what_cannot_be_sent_on_is_waited_for() -> None:
    world = World()
    world.reaches[INPUT] = Reach(0, 20, 10)
    world.worker = replace(world.worker, unsent="Kafka does not take records of documents")
    verdict = world.after(600)
    assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
    assert verdict.not_ready == "completed0/0: Kafka does not take records of documents"


@pytest.mark.parametrize(
    "known",
    [
        {"unsent": "Kafka does not take records of documents"},
        {"throttled": "Kafka throttles this client, for 20 s now"},
        {"unanswered": frozenset({INPUT})},
        {"rebalancing": True},
    ],
)
def test_a_reason_that_is_gone_is_named_until_the_next_commit(known: dict[str, object]) -> None:
    world = World()
    world.look()
    world.reaches[INPUT] = Reach(0, 20, 10)
    usual = world.worker
    world.worker = replace(usual, **known)  # type: ignore[arg-type]
    before = world.after(40).partitions[INPUT].why
    world.worker = usual
    for _ in range(2):
        verdict = world.look()
        assert verdict.not_ready == (
            f"completed0/0: nothing is committed yet; until a moment ago: {before}"
        )
        assert (verdict.state, verdict.stuck_for) == (State.WAITING, 0.0)
        world.now += PAUSE
    verdict = world.after(20)
    assert verdict.not_ready == "completed0/0: nothing is committed, for no known reason"
    assert verdict.stuck_for > 20
    world.reaches[INPUT] = Reach(0, 30, 20)
    assert world.look().not_ready is None
    assert world.after(10).not_ready == "completed0/0: nothing is committed, for no known reason"


def test_a_worker_stays_ready_while_a_breaker_tries_again() -> None:
    world = World()
    world.look()
    rejected = "6000 records in a row were rejected"
    world.reaches[INPUT] = Reach(0, 9000, 10)
    usual = world.worker
    world.worker = replace(usual, held={"completed0": rejected})
    assert world.after(300).not_ready is None
    world.worker = usual
    verdict = world.after(6)
    assert (verdict.not_ready, verdict.stuck_for) == (None, 0.0)
    assert verdict.partitions[INPUT].why == (
        f"nothing is committed yet; until a moment ago: {rejected}"
    )
    verdict = world.after(8)
    assert verdict.not_ready == "completed0/0: nothing is committed, for no known reason"
    assert verdict.stuck_for
