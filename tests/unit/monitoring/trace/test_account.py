"""What is made of the places where an activation was seen."""

import json

import pytest

from app.monitoring.trace.account import MOST, Account, Fate
from app.monitoring.trace.fields import LINES, LONGEST, TOO_LONG, fields_of
from app.monitoring.trace.sighting import Kind, Place, Sighting, of_document, of_letter, of_message
from app.settings import RoutingSettings
from models.dead_letter import DeadLetter
from models.reasons import RejectReason
from models.roles import TopicRole
from tests.integration.support.records import INVOKER, Records, encode, result

ID = "a" * 32
PLACE = Place("completed0", 0, 7, 1_767_325_446_000)


def seen(kind: Kind, *, behind: int | None = None, document: bytes | None = None) -> Sighting:
    return Sighting(PLACE, kind, "", behind, document)


RECORD = seen(Kind.RECORD, document=b"{}")


@pytest.mark.parametrize(
    "sightings,fate",
    [
        ([], Fate.UNSEEN),
        ([seen(Kind.ACKNOWLEDGEMENT)], Fate.REPORTED),
        ([seen(Kind.ACKNOWLEDGEMENT, behind=3)], Fate.REPORTED),
        ([RECORD], Fate.MISSING),
        ([seen(Kind.RECORD)], Fate.LEFT_OUT),
        ([RECORD, seen(Kind.DOCUMENT, behind=5)], Fate.WAITING),
        ([RECORD, seen(Kind.LETTER)], Fate.SET_ASIDE),
        ([seen(Kind.UNREADABLE)], Fate.MISSING),
    ],
)
def test_the_fate_follows_from_where_it_was_seen(sightings: list[Sighting], fate: Fate) -> None:
    assert Account(ID, sightings).fate is fate
    stored = Account(ID, sightings, stored={"_id": f"guest/{ID}", "_rev": "1-x"})
    assert stored.fate is Fate.STORED
    assert "revision 1-x" in stored.conclusion


def test_what_could_not_be_looked_at_leaves_it_open() -> None:
    assert Account(ID, [RECORD], not_looked_at=["the database"]).fate is Fate.UNKNOWN
    waiting = Account(ID, [seen(Kind.DOCUMENT, behind=5)], not_looked_at=["the database"])
    assert waiting.conclusion == "It waits in completed0/0 offset 7, behind 5 records."


def test_a_message_tells_what_the_worker_makes_of_it() -> None:
    record = Records(1).one()
    value = result(record)
    found = of_message(record["activationId"], TopicRole.OTHERS, PLACE, value, RoutingSettings())
    assert found is not None
    assert (found.kind, found.decided) == (Kind.RECORD, "to be stored")
    account = Account(record["activationId"], [found])
    assert account.facts()["namespace"] == record["namespace"]
    assert of_message(ID, TopicRole.OTHERS, PLACE, value, RoutingSettings()) is None


def test_a_duration_has_its_unit_for_people_and_is_a_number_for_programs() -> None:
    account = Account(ID, [], stored={"_rev": "1-x", "duration": 2668})
    assert "duration:  2668 ms" in account.as_text().splitlines()
    assert account.as_json()["activation"] == {"duration": 2668}


def test_a_message_that_only_names_it_as_a_cause_is_anothers() -> None:
    value = result(Records(1).one(cause=ID))
    assert of_message(ID, TopicRole.OTHERS, PLACE, value, RoutingSettings()) is None


def test_an_acknowledgement_has_nothing_to_store() -> None:
    completion = {"transid": ["x", 1], "activationId": ID, "instance": INVOKER}
    found = of_message(ID, TopicRole.COMPLETED, PLACE, encode(completion), RoutingSettings())
    assert found is not None
    assert found.kind is Kind.ACKNOWLEDGEMENT


def test_documents_are_found_by_key_and_letters_by_what_is_in_them() -> None:
    document = json.dumps({"_id": f"guest/{ID}"}).encode()
    assert of_document(ID, PLACE, b"b" * 32, document) is None
    assert of_document(ID, PLACE, ID.encode(), document) == Sighting(
        PLACE, Kind.DOCUMENT, "to be written to the database", document=document
    )
    letter = DeadLetter(
        reason=RejectReason.REFUSED,
        detail="forbidden: no",
        topic="persister-documents",
        partition=3,
        offset=9,
        timestamp=1,
        key=ID.encode(),
        value=document,
        headers=(),
        attempts=0,
    )
    found = of_letter(ID, PLACE, letter)
    assert found is not None
    assert found.decided == "set aside from persister-documents/3 offset 9, refused: forbidden: no"


def test_what_was_not_looked_at_leaves_it_open_also_where_nothing_was_found() -> None:
    found = Account(ID, [RECORD], not_looked_at=["the database: it is away"])
    nothing = Account(ID, not_looked_at=["the database: no namespace is known"])
    assert found.conclusion.startswith("It is not known where it is")
    assert nothing.conclusion.startswith("Nothing was found of it, but")
    assert nothing.as_text().splitlines()[-1] == (
        "not looked at: the database: no namespace is known"
    )


def test_text_is_printable_and_has_the_log_lines() -> None:
    stored = {
        "_id": f"guest/{ID}",
        "_rev": "1-x",
        "namespace": "guest\x1b[2J",
        "start": 1_767_325_446_000,
        "response": {"statusCode": 1},
        "logs": ["2026-01-02T03:04:05.678901234Z stdout: hello\nworld", "not a line"],
    }
    lines = Account(ID, [RECORD], stored=stored).as_text().splitlines()
    assert "namespace: guest\\x1b[2J" in lines
    assert "start:     2026-01-02T03:44:06.000Z" in lines
    assert "status:    1" in lines
    assert lines[lines.index("logs:") + 1 :] == [
        "2026-01-02T03:04:05.678+00:00 stdout: hello\\nworld",
        "not a line",
    ]


def test_a_million_records_of_it_are_not_kept() -> None:
    account = Account(ID)
    for _ in range(10 * MOST):
        account.add(seen(Kind.RECORD, document=b'{"name":"hello"}'))
    assert len(account.sightings) == MOST
    assert sum(len(one.document or b"") for one in account.sightings) < 20 * MOST
    assert account.facts() == {"name": "hello"}
    assert len(account.not_looked_at) == 1
    assert account.fate is Fate.UNKNOWN


DEEP, DEEPEST = (b"[" * levels + b"]" * levels for levels in (500, 100_000))


@pytest.mark.parametrize(
    "document,shown",
    [
        (b'{"name":"a","newer":' + DEEP + b"}", {"name": "a"}),
        (b'{"response":{"statusCode":1,"result":' + DEEP + b"}}", {"status": 1}),
        (b'{"duration":' + b"9" * 5000 + b"}", {"duration": TOO_LONG}),
        (b'{"duration":' + b"9" * 900 + b"}", {"duration": int("9" * 900)}),
        (b'{"name":"' + b"a" * LONGEST + b'"}', {"name": TOO_LONG}),
        (b'{"response":[],"logs":{},"start":[]}', {"start": []}),
        (b'{"name":"a","newer":' + DEEPEST + b"}", {}),
        *((no_record, {}) for no_record in (b"[]", b"", b"\xff", b"{", DEEPEST)),
    ],
)
def test_no_record_is_too_much_to_be_shown(document: bytes, shown: dict[str, object]) -> None:
    account = Account(ID, stored=fields_of(document))
    assert account.facts() == shown
    assert account.as_text()
    json.dumps(account.as_json())


@pytest.mark.parametrize("levels", range(950, 1010, 10))
def test_a_record_as_deep_as_python_may_go_is_shown_or_not(levels: int) -> None:
    """From Python 3.12 on it reads deeper than its limit of calls."""
    document = b'{"name":"a","newer":' + b"[" * levels + b"]" * levels + b"}"
    assert Account(ID, stored=fields_of(document)).facts() in ({}, {"name": "a"})


def test_of_very_many_lines_of_logs_none_is_shown() -> None:
    def logs(lines: int) -> list[str]:
        return fields_of(json.dumps({"logs": ["x"] * lines}).encode())["logs"]  # type: ignore[no-any-return]

    assert len(logs(LINES)) == LINES
    assert logs(LINES + 1) == [TOO_LONG]


def test_of_a_letters_long_texts_the_beginning_is_kept() -> None:
    """A hundred letters with sixteen megabytes in a header each would be kept."""
    letter = DeadLetter(
        topic="t" * 100_000,
        partition=0,
        offset=1,
        timestamp=1,
        reason=RejectReason.NOT_JSON,
        detail="d" * 100_000,
        value=ID.encode(),
    )
    found = of_letter(ID, PLACE, letter)
    assert found is not None
    assert len(found.decided) < 3000
