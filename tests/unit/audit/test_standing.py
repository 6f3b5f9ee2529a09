"""What a standing audit counts, and where its next round begins."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.audit.auditing import Audited, _still_there
from app.audit.content import Content
from app.audit.findings import Findings, Found, Kind, Place, Settled
from app.audit.metrics import METRICS, render
from app.audit.reading import Extent, Scope
from app.audit.standing import missed, next_marks
from app.audit.tally import Round, Tally, complaints
from app.audit.verdicts import Ending, Verdict

SAME, OTHER = Content(b"a", b"ra"), Content(b"b", b"rb")
ACKS, RECORDS = TopicPartition("completed0", 0), TopicPartition("completed-others", 0)
NOW = 1_767_322_800.0


@pytest.fixture
def findings() -> Iterator[Findings]:
    made = Findings()
    yield made
    made.close()


def record(offset: int, activation: str, **changes: Any) -> Found:
    where = (RECORDS.topic, 0, offset, 1000 + offset)
    document = f"guest/{activation}"
    found = Found(*where, Kind.EXPECTED, activation, document, SAME.digest, SAME.rounded)
    return found._replace(**changes)


def acknowledgement(offset: int, activation: str) -> Found:
    return Found(ACKS.topic, 0, offset, 1000 + offset, Kind.FINISHED, activation)


def settle(findings: Findings, patient_until: int = 10**6) -> Settled:
    findings.judge()
    findings.add_horizon(ACKS.topic, 0)
    findings.judge_arrivals()
    return findings.settle(patient_until)


def test_an_activation_is_counted_once_however_many_records_tell_of_it(findings: Findings) -> None:
    findings.add_records(
        [
            record(0, "stored"),
            record(1, "stored"),
            acknowledgement(0, "stored"),
            record(2, "skipped", kind=Kind.LEFT_OUT, document=None),
            record(3, "lost"),
            acknowledgement(1, "never"),
            record(4, "junk", kind=Kind.UNUSABLE, document=None)._replace(activation=None),
        ]
    )
    findings.add_stored([("guest/stored", SAME)])
    findings.add_letter(Place(RECORDS.topic, 0, 4), ())
    findings.add_committed(RECORDS.topic, 0, 5)
    settled = settle(findings)
    assert settled.endings == {
        Ending.STORED: 1,
        Ending.SKIPPED: 1,
        Ending.MISSING: 1,
        Ending.NEVER_ARRIVED: 1,
    }
    assert settled.verdicts[Verdict.SET_ASIDE] == 1
    assert settled.verdicts.total() == 7
    assert (settled.marks, settled.oldest_open) == ({}, None)


def test_what_was_counted_by_an_earlier_round_is_not_counted_again(findings: Findings) -> None:
    findings.add_before(["stored"])
    findings.add_records([record(7, "stored"), record(8, "other")])
    findings.add_stored([("guest/stored", SAME), ("guest/other", SAME)])
    settled = settle(findings)
    assert settled.endings == {Ending.STORED: 1}
    assert settled.verdicts == {Verdict.PRESENT: 2}


def test_a_partition_is_settled_up_to_its_first_record_that_is_on_its_way(
    findings: Findings,
) -> None:
    findings.add_records([record(0, "a"), record(1, "b"), record(2, "c")])
    findings.add_stored([("guest/a", SAME), ("guest/c", SAME)])
    settled = settle(findings)
    assert settled.endings == {Ending.STORED: 1}
    assert (settled.marks, settled.oldest_open) == ({(RECORDS.topic, 0): 1}, 1001)
    extents = {RECORDS: Extent(0, 0, 3), ACKS: Extent(0, 0, 9)}
    assert next_marks(settled, Audited(extents=extents)) == {RECORDS: 1, ACKS: 9}


def test_a_young_acknowledgement_waits_for_its_record(findings: Findings) -> None:
    findings.add_records([acknowledgement(0, "old"), acknowledgement(500, "young")])
    settled = settle(findings, patient_until=1100)
    assert settled.endings == {Ending.NEVER_ARRIVED: 1}
    assert settled.marks == {(ACKS.topic, 0): 500}
    assert findings.count(Verdict.NEVER_ARRIVED) == 1


def test_a_round_takes_what_stands_from_the_mark_on() -> None:
    scope = Scope(marks={RECORDS: 5}, looked_back=1)
    assert not scope.takes(RECORDS, 4, 10)
    assert scope.takes(RECORDS, 5, 0)
    assert scope.takes(ACKS, 0, 0)


def test_marks_of_a_topic_that_was_made_again_do_not_count() -> None:
    marks = {RECORDS: 5, ACKS: 5, TopicPartition("gone", 0): 5}
    assert _still_there(marks, {RECORDS: 4, ACKS: 5}) == {ACKS: 5}


def test_what_kafka_deleted_between_two_rounds_was_missed() -> None:
    extents = {RECORDS: Extent(12, 12, 20), ACKS: Extent(3, 5, 9)}
    assert missed({RECORDS: 5, ACKS: 5}, extents) == 7


def round_of(endings: dict[Ending, int], at: float = NOW, **changes: Any) -> Round:
    verdicts: Counter[Verdict] = changes.pop("verdicts", Counter())
    oldest = changes.pop("oldest", None)
    return Round(at, Settled({}, oldest, Counter(endings), verdicts), **changes)


def test_the_line_of_a_day_adds_up() -> None:
    tally = Tally(NOW)
    assert tally.day_ended(NOW) is None
    tally.add(
        round_of(
            {Ending.STORED: 5, Ending.SKIPPED: 2, Ending.SET_ASIDE: 1},
            verdicts=Counter({Verdict.PRESENT: 9}),
        )
    )
    tally.add(round_of({Ending.STORED: 1}, NOW + 3600, oldest=int((NOW + 60) * 1000)))
    assert tally.day_ended(NOW + 3601) is None
    assert tally.day_ended(NOW + 86_400) == (
        "2026-01-02: 9 activations finished = 6 stored + 2 skipped + 1 set aside + "
        "0 never arrived; 9 records checked; checked up to 2026-01-02T03:01:00Z"
    )
    assert tally.day_ended(NOW + 86_401) is None
    assert tally.today.endings.total() == 0
    assert tally.all.endings.total() == 9
    assert not tally.wrong


def test_a_round_that_found_something_is_not_good_and_says_where() -> None:
    found = round_of({}, verdicts=Counter({Verdict.MISSING: 2}), lost=3, missed=4)
    tally = Tally(NOW)
    tally.add(found)
    assert tally.wrong
    assert complaints(found, {Verdict.MISSING: ["guest/a (others/0 offset 1)"]}) == [
        "2 records are missing in the database: guest/a (others/0 offset 1)",
        "3 records were deleted by Kafka before the worker read them",
        "4 records were deleted by Kafka before the audit read them",
    ]


def test_every_metric_is_there_before_the_first_round() -> None:
    tally = Tally(NOW)
    text = render(tally).decode()
    assert all(f"\n{metric.shown}" in f"\n{text}" for metric in METRICS)
    assert 'persister_audit_activations_total{ending="never arrived"} 0.0' in text
    assert "persister_audit_ready 0.0" in text
    tally.fail("Kafka is away")
    assert 'persister_audit_rounds_total{result="failed"} 1.0' in render(tally).decode()
    tally.add(round_of({Ending.STORED: 3}))
    shown = render(tally).decode()
    assert 'persister_audit_activations_total{ending="stored"} 3.0' in shown
    assert "persister_audit_ready 1.0" in shown
