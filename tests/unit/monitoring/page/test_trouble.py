"""The page's first words: whether all is well, and if not what is wrong and what to do."""

from dataclasses import replace
from typing import Any

import pytest

from app.monitoring.group.roster import Heard
from app.monitoring.group.snapshot import Counts, DatabaseState, Snapshot
from app.monitoring.page.trouble import (
    Condition,
    Database,
    Held,
    Kafka,
    Level,
    Partition,
    findings,
    summary,
)
from app.monitoring.progress import State

NOW = 1_800_014_400.0
"""2027-01-15, 12:00 UTC."""

OWN = Heard(Snapshot("w0", version="1"), 0.0, own=True)


def condition(**changes: Any) -> Condition:
    usual: dict[str, Any] = {
        "now": NOW,
        "stuck_after": 60.0,
        "partitions": [Partition("completed0", 0, State.IDLE, worker="w0", mine=True)],
        "workers": [OWN],
    }
    return Condition(**(usual | changes))


def whats(**changes: Any) -> list[tuple[Level, str]]:
    return [(one.level, one.what) for one in summary(condition(**changes)).findings]


def test_when_all_is_well_it_says_what_is_read() -> None:
    told = summary(condition())
    assert (told.level, told.headline) == (Level.WELL, "All is well")
    assert told.text == "1 worker reads 1 topic; nothing waits."
    assert told.findings == ()


def test_what_is_on_the_way_is_no_trouble() -> None:
    moving = Partition("completed0", 0, State.MOVING, lag=12, worker="w0", oldest=NOW - 2)
    told = summary(condition(partitions=[moving], workers=[OWN, Heard(Snapshot("w1"), 1.0)]))
    assert told.text == "2 workers read 1 topic; 12 records are on the way."


def test_without_topics_it_says_that_they_are_looked_for() -> None:
    assert "No topic of OpenWhisk exists yet" in summary(condition(partitions=[])).text
    own = [Partition("persister-documents", 0, State.IDLE, 0, "w")]
    told = summary(condition(partitions=own, internal="persister-documents"))
    assert "No topic of OpenWhisk exists yet" in told.text


def test_a_topic_that_the_log_mode_leaves_out_is_told_with_what_to_do() -> None:
    (finding,) = findings(condition(kafka=Kafka(overlooked={"activations": "set it"})))
    assert finding.level is Level.MIND
    assert finding.what == "activations exists and is not read in this log mode."
    assert finding.do.startswith("set it.")


def test_when_nothing_is_read_it_says_what_looks_as_if_it_should_be() -> None:
    kafka = Kafka(elsewhere=["ow.completed0"], advice_elsewhere="check the prefix")
    (finding,) = findings(condition(kafka=kafka))
    assert (finding.level, finding.why) == (Level.MIND, "Kafka has ow.completed0.")
    assert finding.do == "Check the prefix."


def test_a_silent_kafka_is_told_once_with_its_address_and_what_to_check() -> None:
    kafka = Kafka("kafka://k:9092", away_since=NOW - 65, error="connection refused")
    stuck = Partition("a", 0, State.STUCK, 5, "w0", since=NOW - 60, why="nothing is committed")
    told = summary(
        condition(kafka=kafka, partitions=[stuck], not_ready="Kafka does not answer: refused")
    )
    assert told.level is Level.TROUBLE
    (finding,) = told.findings
    assert finding.what == "Kafka has not answered since 11:58:55 UTC."
    assert finding.why == "kafka://k:9092: connection refused"
    assert "PERSISTER_KAFKA_URL" in finding.do
    assert "goes on by itself" in finding.do


def test_a_login_that_kafka_refuses_is_what_to_change() -> None:
    kafka = Kafka(away_since=NOW, error="it knows no user 'u'", login_refused=True)
    (finding,) = findings(condition(kafka=kafka))
    assert "PERSISTER_KAFKA_PASSWORD" in finding.do
    assert "PERSISTER_KAFKA_URL" not in finding.do


def test_a_database_that_is_down_is_told_with_its_own_words_and_advice() -> None:
    database = Database(
        "http://c:5984/db",
        failing_since=NOW - 30,
        down=True,
        error="503 insufficient storage",
        advice="retrying until it does: make room on its disk",
    )
    told = summary(condition(database=database, not_ready="the database takes no documents: 503"))
    (finding,) = told.findings
    assert (finding.level, finding.what) == (
        Level.TROUBLE,
        "The database has taken no documents since 11:59:30 UTC.",
    )
    assert finding.why == "http://c:5984/db: 503 insufficient storage"
    assert finding.do.startswith("Make room on its disk.")
    assert "nothing is set aside" in finding.do


def test_a_database_for_which_the_worker_is_not_ready_is_told_once_and_as_trouble() -> None:
    database = Database(failing_since=NOW - 0.5, error="nothing answers", advice="check it")
    why = "the database takes no documents: nothing answers"
    ((level, what),) = whats(database=database, not_ready=why, since=NOW - 9)
    assert (level, what[:12]) == (Level.TROUBLE, "The database")


def test_a_young_worker_has_set_aside_no_more_in_the_last_minute_than_ever() -> None:
    own = Heard(Snapshot("w0", version="1", counts=Counts(dead_letters=10)), 0.0, own=True)
    ((_, what),) = whats(workers=[own], setting_aside=1.0)
    assert what == "Records are being set aside: 10 in the last minute."


def test_failing_for_a_moment_is_not_yet_trouble() -> None:
    database = Database(failing_since=NOW - 0.5, error="429")
    assert summary(condition(database=database)).level is Level.MIND


@pytest.mark.parametrize(
    "database,expected",
    [
        (Database(reading="403"), "does not let documents be read back"),
        (Database(diagnosis=2), "2 documents fail while others are stored"),
        (Database(missing=["_design/x"]), "lacks _design/x"),
    ],
)
def test_what_else_the_database_can_lack(database: Database, expected: str) -> None:
    ((_, what),) = whats(database=database)
    assert expected in what


def test_partitions_that_stand_still_for_one_reason_are_one_finding() -> None:
    stuck = [
        Partition("a", n, State.STUCK, 5, "w0", mine=True, since=NOW - 60, why="unknown reason")
        for n in range(5)
    ]
    told = summary(condition(partitions=stuck, not_ready="a/0, a/1: unknown reason"))
    (finding,) = told.findings
    assert finding.what == (
        "a/0, a/1, a/2 and 2 more have not moved since 11:59:00 UTC; 25 records wait."
    )
    assert finding.why == "unknown reason"
    assert "ends itself" in finding.do
    assert "60 s" in finding.do


def test_a_worker_that_never_ends_itself_is_for_the_operator_to_restart() -> None:
    stuck = Partition("a", 0, State.STUCK, 5, "w0", since=NOW, why="unknown")
    (finding,) = summary(condition(partitions=[stuck], stuck_after=0.0)).findings
    assert "Restart the worker" in finding.do


def test_a_database_that_says_nothing_is_told_as_such() -> None:
    silent = Partition(
        *("documents", 0, State.STUCK, 5, "w0", True),
        since=NOW - 60,
        why="the database stores nothing",
    )
    told = condition(
        partitions=[silent],
        not_ready="documents/0: the database stores nothing",
        database=Database("http://db", requests=1),
    )
    (finding,) = summary(told).findings
    assert finding.what == "The database has answered nothing since 11:59:00 UTC."
    assert finding.why == "http://db: 1 request under way"
    assert "ends itself" not in finding.do


def test_what_nobody_reads_wants_a_worker() -> None:
    alone = Partition("a", 0, State.STUCK, 5, "", since=NOW - 60, why="nobody reads it")
    ((level, what),) = whats(partitions=[alone])
    assert (level, what) == (Level.TROUBLE, "Nobody has read a/0 since 11:59:00 UTC.")
    new = Partition("a", 0, State.WAITING, 5, "", since=NOW - 2, why="nobody reads it yet")
    assert whats(partitions=[new]) == []
    assert whats(partitions=[replace(alone, state=State.WAITING)])[0][0] is Level.MIND


def test_a_held_topic_is_told_by_its_breaker_alone() -> None:
    held = Held(NOW - 60, NOW + 240, "990 of 1000 records were rejected")
    waits = Partition("a", 0, State.WAITING, 5, "w0", since=NOW - 60, why=held.why)
    (finding,) = summary(condition(partitions=[waits], held={"a": held})).findings
    assert finding.what.startswith("a has not been read since 11:59:00 UTC")
    assert "12:04:00 UTC" in finding.do
    (finding,) = summary(condition(partitions=[waits], store_held={"x": held})).findings
    assert finding.what.startswith("Storing has been held since 11:59:00 UTC")


def test_an_unreadable_topic_and_a_group_that_refuses_are_trouble() -> None:
    waits = Partition("a", 0, State.WAITING, 5, "w0", since=NOW, why="not authorized")
    kafka = Kafka(unreadable={"a": "not authorized"}, refuses="InconsistentGroupProtocolError")
    levels = whats(partitions=[waits], kafka=kafka)
    assert levels == [
        (Level.TROUBLE, "The consumer group does not take this worker."),
        (Level.TROUBLE, "The topic a may not be read."),
    ]


@pytest.mark.parametrize(
    "topic, advice",
    [
        ("p-completed0", "If it is one of OpenWhisk's, grant Read on it"),
        ("p-persister-documents", "It is one of the persister's own: grant Read on it"),
        ("p-persister-guard-changelog", "It is one of the persister's own: grant Read on it"),
    ],
)
def test_whose_an_unreadable_topic_is_decides_what_is_advised(topic: str, advice: str) -> None:
    (finding,) = summary(condition(kafka=Kafka(unreadable={topic: "no Read"}))).findings
    assert finding.do.startswith(advice)


@pytest.mark.parametrize(
    "left,low,level",
    [(300.0, False, Level.TROUBLE), (3000.0, True, Level.MIND), (-5.0, True, Level.TROUBLE)],
)
def test_what_kafka_is_about_to_delete_is_told_in_time(
    left: float, level: Level, *, low: bool
) -> None:
    behind = Partition("a", 0, State.MOVING, 5, "w0", oldest=NOW - 5, kept=NOW + left)
    ((found, what),) = whats(partitions=[behind], low=frozenset({"a"} if low else ()))
    assert found is level
    assert what.startswith("Kafka may delete unread records of a ")
    assert whats(partitions=[replace(behind, kept=NOW + 3000)]) == []


def test_a_group_that_is_behind_because_of_its_maximum_does_not_blame_the_database() -> None:
    behind = Partition("a", 0, State.MOVING, 5000, "w0", oldest=NOW - 300)
    waits = Database(waits="waiting for the pace that is set")
    (finding,) = summary(condition(partitions=[behind], database=waits)).findings
    assert finding.why == "waiting for the pace that is set"
    assert "too slow" not in finding.do


def test_what_waits_on_purpose_is_no_trouble() -> None:
    waits = "waiting for the pace that is set"
    still = Partition("a", 0, State.WAITING, 5, "w0", True, since=NOW - 60, why=waits)
    told = condition(partitions=[still], database=Database(waits=waits))
    (finding,) = summary(told).findings
    assert (finding.level, finding.why) == (Level.MIND, waits)


def test_a_group_that_is_behind_says_how_far() -> None:
    behind = Partition("a", 0, State.MOVING, 5000, "w0", oldest=NOW - 300)
    assert whats(partitions=[behind]) == [
        (Level.MIND, "Storing is behind: 5\u202f000 records wait, the oldest for 5 minutes.")
    ]


def test_a_missing_worker_is_named_and_does_not_hide_worse() -> None:
    gone = Heard(Snapshot("w1", version="1"), 40.0, missing=True)
    assert whats(workers=[OWN, gone]) == [
        (Level.MIND, "The worker w1 has not been heard for 40 s.")
    ]
    kafka = Kafka(away_since=NOW)
    assert whats(workers=[OWN, gone], kafka=kafka)[0][0] is Level.TROUBLE


def test_what_ails_another_worker_alone_is_told() -> None:
    ill = Heard(Snapshot("w1", version="1", why="stuck"), 1.0)
    assert whats(workers=[OWN, ill]) == [(Level.MIND, "The worker w1 is not ready.")]
    down = Database(failing_since=NOW, down=True, error="503")
    assert len(whats(workers=[OWN, ill], database=down)) == 1


def test_versions_losses_dead_letters_and_deafness_are_worth_a_look() -> None:
    newer = Heard(Snapshot("w1", version="2", counts=Counts(lost=3, dead_letters=99)), 1.0)
    ill = {"unheard": "denied", "forgetful": "grant Write"}
    told = [what for _, what in whats(workers=[OWN, newer], setting_aside=0.5, **ill)]
    assert told == [
        "What the guard remembers is not written to Kafka.",
        "The workers run different versions: 1 and 2.",
        "Kafka deleted 3 records of OpenWhisk's topics before they were read.",
        "Records are being set aside: 30 in the last minute.",
        "Workers do not all hear one another: this page may not show all of them.",
    ]


def test_a_loss_is_told_for_the_topic_that_has_it() -> None:
    counts = Counts(lost=5, lost_documents=5)
    lost = condition(
        workers=[OWN, Heard(Snapshot("w1", version="1", counts=counts), 1.0)],
        internal="persister-documents",
    )
    (told,) = summary(lost).findings
    assert told.what == "Kafka deleted 5 documents of persister-documents before they were stored."
    assert "raise PERSISTER_DOCUMENTS_RETENTION" in told.do
    both = Counts(lost=5, lost_documents=2)
    assert len(whats(workers=[OWN, Heard(Snapshot("w1", version="1", counts=both), 1.0)])) == 2


def test_a_reason_that_nothing_else_explains_is_told_as_it_is() -> None:
    ((level, what),) = whats(not_ready="the topic a is gone", since=NOW - 60)
    assert (level, what) == (
        Level.TROUBLE,
        "The work of this worker has stood still since 11:59:00 UTC.",
    )
    starting = summary(condition(not_ready="starting: waiting for a first assignment"))
    assert starting.level is Level.MIND
    assert "doctor" in starting.findings[0].do


def test_a_worker_that_stops_says_only_that() -> None:
    told = summary(condition(stopping=True, not_ready="stopping", kafka=Kafka(away_since=NOW)))
    assert [one.what for one in told.findings] == ["This worker is stopping."]


def test_what_waits_for_the_database_elsewhere_is_not_told_again() -> None:
    down = Database(failing_since=NOW, down=True, error="503")
    other = Snapshot("w1", version="1", why="503", database=DatabaseState(down=True, error="503"))
    waits = [
        Partition("documents", 0, State.WAITING, 5, "w0", mine=True, since=NOW, why="503"),
        Partition("documents", 1, State.WAITING, 5, "w1", since=NOW, why="does not move"),
    ]
    workers = [OWN, Heard(other, 1.0)]
    assert len(whats(database=down, partitions=waits, workers=workers)) == 1
    well = [OWN, Heard(Snapshot("w1", version="1"), 1.0)]
    assert len(whats(database=down, partitions=waits, workers=well)) == 2
