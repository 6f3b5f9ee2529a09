"""How a report reads."""

import json
from typing import Any

from app.audit.auditing import Audited, Lost
from app.audit.findings import Example, Place
from app.audit.repair import Repaired
from app.audit.report import Report
from app.audit.verdicts import FAILURES, Verdict

HOUR = 1_767_322_800_000


def report(**changes: Any) -> Report:
    fields: dict[str, Any] = {
        "audited": Audited(),
        "table": {"completed0": {HOUR: {Verdict.PRESENT: 12, Verdict.SET_ASIDE: 3}}},
        "counts": dict.fromkeys(FAILURES, 0),
        "examples": {verdict: [] for verdict in FAILURES},
        "left_out": {},
    }
    return Report(**(fields | changes))


def missing(count: int, shown: int) -> dict[str, Any]:
    examples = [
        Example(Place("completed0", 0, offset), HOUR, f"{offset:032x}", f"guest/{offset:032x}")
        for offset in range(shown)
    ]
    return {
        "counts": dict.fromkeys(FAILURES, 0) | {Verdict.MISSING: count},
        "examples": {verdict: [] for verdict in FAILURES} | {Verdict.MISSING: examples},
    }


def test_a_good_one_is_a_table_and_one_line() -> None:
    lines = report().as_text().splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["topic", "hour", "(UTC)", "records", "present", "set", "aside"],
        ["completed0", "2026-01-02T03", "15", "12", "3"],
        ["total", "15", "12", "3"],
    ]
    assert lines[3:] == ["", "Nothing is missing: 15 records were checked."]


def test_what_is_missing_is_listed_and_counted() -> None:
    text = report(**missing(5, 2)).as_text()
    assert "5 documents are missing" in text
    assert f"guest/{1:032x}  completed0/0 offset 1  2026-01-02T03:00:00.000Z" in text
    assert "and 3 more" in text
    assert "Nothing is missing" not in text


def test_lost_records_make_it_bad() -> None:
    lost = report(audited=Audited(lost=[Lost("completed0", 0, 7)]))
    assert not lost.good
    assert "7 records of completed0/0" in lost.as_text()


def test_remarks_say_what_can_be_made_of_them() -> None:
    table = {"t": {HOUR: {Verdict.PENDING: 4, Verdict.ROUNDED: 1}}}
    text = report(table=table, audited=Audited(not_judged=2, never_committed=True)).as_text()
    assert "4 records are not stored yet" in text
    assert "PERSISTER_APP_ID" in text
    assert "2^53" in text
    assert "Of 2 acknowledgements" in text


def test_a_repair_says_what_was_sent_and_what_not() -> None:
    repaired = Repaired(5, sent=3, gone=1, refused=1, error="too large")
    text = report(**missing(5, 5), repaired=repaired).as_text()
    for part in ("Sent 3 records again", "1 have been deleted", "1 were not taken", "too large"):
        assert part in text
    assert "Would send 5" in report(repaired=Repaired(5, dry_run=True)).as_text()


def test_programs_get_the_same() -> None:
    made = report(**missing(2, 1), repaired=Repaired(2, sent=2))
    made.differing = {f"guest/{0:032x}": ["name"]}
    shown = json.loads(json.dumps(made.as_json()))
    assert shown["ok"] is False
    assert shown["totals"] == {"present": 12, "set_aside": 3}
    assert shown["failures"]["missing"] == 2
    assert shown["topics"] == {
        "completed0": {"2026-01-02T03:00:00Z": {"present": 12, "set_aside": 3}}
    }
    assert shown["examples"]["missing"][0]["offset"] == 0
    assert shown["examples"]["missing"][0]["fields"] == ["name"]
    assert shown["repaired"]["sent"] == 2


def test_ids_and_names_of_fields_are_printable() -> None:
    example = Example(Place("completed0", 0, 1), HOUR, "0" * 32, "guest\x1b[2J/\nERROR forged")
    made = report(
        counts=dict.fromkeys(FAILURES, 0) | {Verdict.MISSING: 1},
        examples={verdict: [] for verdict in FAILURES} | {Verdict.MISSING: [example]},
    )
    made.differing = {str(example.document): ["na\rme"]}
    text = made.as_text()
    assert text.replace("\n", "").isprintable()
    assert not any(line.startswith("ERROR") for line in text.splitlines())
