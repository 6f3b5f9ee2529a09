"""What follows from what was found."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.content import NOT_COMPARED, Content
from app.audit.findings import HOUR_MILLIS, Findings, Found, Kind, Place
from app.audit.verdicts import Verdict

TOPIC = "completed0"
SAME, OTHER = Content(b"a", b"ra"), Content(b"b", b"rb")


@pytest.fixture
def findings() -> Iterator[Findings]:
    made = Findings()
    yield made
    made.close()


def record(offset: int, content: Content = SAME, **changes: Any) -> Found:
    where = (TOPIC, 0, offset, 1000 + offset)
    found = Found(*where, Kind.EXPECTED, "id", "guest/id", content.digest, content.rounded)
    return found._replace(**changes)


def acknowledgement(offset: int, activation: str, **changes: Any) -> Found:
    return Found(TOPIC, 0, offset, 1000 + offset, Kind.FINISHED, activation)._replace(**changes)


def verdicts(findings: Findings) -> dict[Verdict, int]:
    findings.judge()
    return {verdict: n for verdict in Verdict if (n := findings.count(verdict))}


def test_a_record_is_missing_only_when_it_was_settled(findings: Findings) -> None:
    findings.add_records([record(0)])
    assert verdicts(findings) == {Verdict.PENDING: 1}
    findings.add_committed(TOPIC, 0, 1)
    assert verdicts(findings) == {Verdict.MISSING: 1}
    findings.add_waiting([("guest/id", OTHER)])
    assert verdicts(findings) == {Verdict.MISSING: 1}
    findings.add_waiting([("guest/id", SAME)])
    assert verdicts(findings) == {Verdict.PENDING: 1}


def test_what_the_database_holds_is_the_last_word(findings: Findings) -> None:
    findings.add_records([record(0), record(1), record(2, OTHER), record(5, OTHER)])
    findings.add_committed(TOPIC, 0, 5)
    findings.add_letter(Place(TOPIC, 0, 1), ())
    findings.add_stored([("guest/id", SAME)])
    assert verdicts(findings) == {Verdict.PRESENT: 2, Verdict.DIFFERENT: 1, Verdict.PENDING: 1}


def test_of_a_record_that_is_not_compared_any_document_will_do(findings: Findings) -> None:
    findings.add_records([record(0, NOT_COMPARED)])
    findings.add_committed(TOPIC, 0, 5)
    assert verdicts(findings) == {Verdict.MISSING: 1}
    findings.add_waiting([("guest/id", SAME)])
    assert verdicts(findings) == {Verdict.PENDING: 1}
    findings.add_letter(Place("persister-documents", 3, 1), [("guest/id", NOT_COMPARED)])
    assert verdicts(findings) == {Verdict.SET_ASIDE: 1}
    findings.add_stored([("guest/id", SAME)])
    assert verdicts(findings) == {Verdict.NOT_COMPARED: 1}


def test_a_document_that_is_not_compared_is_not_the_record(findings: Findings) -> None:
    findings.add_records([record(0)])
    findings.add_committed(TOPIC, 0, 5)
    findings.add_stored([("guest/id", NOT_COMPARED)])
    assert verdicts(findings) == {Verdict.DIFFERENT: 1}


def test_a_divergent_record_is_where_it_belongs_among_the_dead_letters(findings: Findings) -> None:
    findings.add_records([record(0), record(1, OTHER)])
    findings.add_committed(TOPIC, 0, 5)
    findings.add_letter(Place("persister-documents", 3, 1), [("guest/id", OTHER)])
    findings.add_stored([("guest/id", SAME)])
    assert verdicts(findings) == {Verdict.PRESENT: 1, Verdict.SET_ASIDE: 1}


def test_what_is_equal_as_doubles_is_neither_equal_nor_different(findings: Findings) -> None:
    findings.add_records([record(0, Content(b"exact", b"double"))])
    findings.add_stored([("guest/id", Content(b"double", b"double"))])
    assert verdicts(findings) == {Verdict.ROUNDED: 1}


def test_a_record_without_logs_is_there_when_the_same_with_logs_is(findings: Findings) -> None:
    findings.add_records(
        [
            record(0, Content(b"no logs", b"no logs"), bare=b"rest"),
            record(1, Content(b"other", b"other"), bare=b"other rest"),
            record(2, Content(b"other logs", b"other logs")),
        ]
    )
    findings.add_stored([("guest/id", Content(b"logs", b"logs", b"rest"))])
    findings.add_committed(TOPIC, 0, 3)
    assert verdicts(findings) == {Verdict.PRESENT: 1, Verdict.DIFFERENT: 2}


def test_what_cannot_be_stored_must_be_among_the_dead_letters(findings: Findings) -> None:
    unusable: dict[str, Any] = {
        "kind": Kind.UNUSABLE,
        "document": None,
        "digest": None,
        "rounded": None,
    }
    findings.add_records([record(number, **unusable) for number in range(3)])
    findings.add_committed(TOPIC, 0, 2)
    findings.add_letter(Place(TOPIC, 0, 0), ())
    assert verdicts(findings) == {
        Verdict.SET_ASIDE: 1,
        Verdict.NOT_SET_ASIDE: 1,
        Verdict.PENDING: 1,
    }


def test_an_acknowledgement_alone_tells_of_a_record_that_never_arrived(findings: Findings) -> None:
    findings.add_records(
        [
            record(0, activation="stored"),
            record(1, activation="left out", kind=Kind.LEFT_OUT),
            record(2, activation="broken", kind=Kind.UNUSABLE, document=None),
            *map(acknowledgement, range(3, 7), ["stored", "left out", "broken", "elsewhere"]),
            acknowledgement(7, "alone"),
            acknowledgement(8, "alone"),
        ]
    )
    findings.add_arrived(["elsewhere"])
    findings.add_horizon(TOPIC, 0)
    findings.judge()
    assert findings.latest_unarrived() == 1008
    assert findings.judge_arrivals() == 0
    assert findings.count(Verdict.NEVER_ARRIVED) == 2
    assert findings.count_documents_with(Verdict.NEVER_ARRIVED) == 1
    (example,) = findings.examples(Verdict.NEVER_ARRIVED, 9)
    assert (example.activation, example.place) == ("alone", Place(TOPIC, 0, 7))


def test_acknowledgements_before_what_kafka_holds_are_not_judged(findings: Findings) -> None:
    findings.add_records(
        [acknowledgement(0, "old"), acknowledgement(9, "new"), acknowledgement(9, "x", topic="y")]
    )
    findings.add_horizon(TOPIC, 1005)
    findings.judge()
    assert findings.judge_arrivals() == 2
    assert findings.count(Verdict.NEVER_ARRIVED) == 1


def test_documents_come_once_with_the_largest_of_their_sizes(findings: Findings) -> None:
    findings.add_records(
        [record(0, size=5), record(1, size=7), record(2, document="a/b"), acknowledgement(3, "x")]
    )
    assert findings.count_documents() == 2
    assert list(findings.documents()) == [("a/b", 0), ("guest/id", 7)]


def test_counts_are_by_topic_and_hour(findings: Findings) -> None:
    findings.add_records(
        [
            record(0, at=HOUR_MILLIS),
            record(1, at=2 * HOUR_MILLIS - 1),
            record(2, at=2 * HOUR_MILLIS),
            record(3, at=0, topic="other", kind=Kind.LEFT_OUT, reason="store-level"),
        ]
    )
    findings.judge()
    assert findings.table() == {
        TOPIC: {HOUR_MILLIS: {Verdict.PENDING: 2}, 2 * HOUR_MILLIS: {Verdict.PENDING: 1}},
        "other": {0: {Verdict.LEFT_OUT: 1}},
    }
    assert findings.left_out() == {"store-level": 1}


def test_a_missing_document_is_repaired_from_the_first_record_of_it(findings: Findings) -> None:
    findings.add_records([record(4, at=50), record(2, at=90), record(3, document="b/c", at=70)])
    findings.add_committed(TOPIC, 0, 9)
    findings.judge()
    assert sorted(place.offset for place in findings.missing()) == [3, 4]
    assert [example.place.offset for example in findings.examples(Verdict.MISSING, 9)] == [4, 3]
    assert len(findings.examples(Verdict.MISSING, 1)) == 1
