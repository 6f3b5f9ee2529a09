"""The independent check finds every kind of damage that it is there to find."""

import json
from itertools import islice
from typing import Any

import pytest

from dev.chaos.flow import MIX, Books, Endless
from dev.chaos.verdict import judge_documents, judge_letters, judge_outcomes
from dev.traffic import Ledger, Setup
from models.dead_letter import DeadLetter
from models.reasons import RejectReason

DOCUMENTS = "persister-documents"


@pytest.fixture
def books() -> Books:
    traffic = Endless(Setup(), seed=4, mix=MIX)
    ledger = Ledger(traffic.setup)
    for event in islice(traffic, 2000):
        ledger.add(event)
    assert traffic.rejected
    assert traffic.divergent
    return Books(ledger, traffic.rejected, traffic.divergent)


@pytest.fixture
def documents(books: Books) -> list[dict[str, Any]]:
    """A database as it must be."""
    return [{**kept, "_rev": "1-abc"} for kept in books.ledger.documents().values()]


def letter(
    topic: str, value: bytes, offset: int = 0, reason: RejectReason = RejectReason.NOT_JSON
) -> DeadLetter:
    return DeadLetter(
        topic=topic, partition=0, offset=offset, timestamp=0, reason=reason, detail="", value=value
    )


def divergent(document_id: str, reason: RejectReason = RejectReason.DIVERGENT) -> DeadLetter:
    return letter(DOCUMENTS, json.dumps({"_id": document_id}).encode(), reason=reason)


@pytest.fixture
def letters(books: Books) -> list[DeadLetter]:
    """Dead letters as they must be."""
    rejected = books.rejected.elements()
    return [
        *(letter(topic, value, offset) for offset, (topic, value) in enumerate(rejected)),
        *(divergent(document_id) for document_id in books.divergent),
    ]


def test_all_is_in_order(
    books: Books, documents: list[dict[str, Any]], letters: list[DeadLetter]
) -> None:
    assert judge_documents(books, documents) == []
    assert judge_letters(books, [*letters, letters[0], letters[-1]], DOCUMENTS) == []


def test_a_missing_document_is_found(books: Books, documents: list[dict[str, Any]]) -> None:
    gone = documents.pop(7)
    assert judge_documents(books, documents) == [f"1 documents missing, such as {gone['_id']}"]


def test_a_changed_document_is_found(books: Books, documents: list[dict[str, Any]]) -> None:
    documents[7]["end"] += 1
    (told,) = judge_documents(books, documents)
    assert told == f"1 documents different, such as {documents[7]['_id']}"


def test_a_document_that_nobody_sent_is_found(
    books: Books, documents: list[dict[str, Any]]
) -> None:
    documents.append({"_id": "guest/0", "_rev": "1-x"})
    assert judge_documents(books, documents) == ["1 documents unexpected, such as guest/0"]


def test_a_second_revision_is_found(books: Books, documents: list[dict[str, Any]]) -> None:
    documents[3]["_rev"] = "2-def"
    (told,) = judge_documents(books, documents)
    assert told == f"1 documents written again, such as {documents[3]['_id']}"


def test_a_rejected_message_that_is_no_dead_letter_is_found(
    books: Books, letters: list[DeadLetter]
) -> None:
    assert judge_letters(books, letters[1:], DOCUMENTS) == [
        "1 rejected messages are missing from the dead letters"
    ]


def test_an_acceptable_message_among_the_dead_letters_is_found(
    books: Books, letters: list[DeadLetter]
) -> None:
    (told,) = judge_letters(books, [*letters, letter("completed0", b"{}", 12)], DOCUMENTS)
    assert told == "completed0: a valid message is a dead letter, from offset 12"


def test_a_divergent_document_that_is_no_dead_letter_is_found(
    books: Books, letters: list[DeadLetter]
) -> None:
    (told,) = judge_letters(books, letters[:-1], DOCUMENTS)
    assert "1 divergent documents are missing from the dead letters" in told


def test_a_document_that_was_set_aside_without_need_is_found(
    books: Books, letters: list[DeadLetter]
) -> None:
    taken, refused = divergent("guest/1"), divergent("guest/2", RejectReason.REFUSED)
    told = judge_letters(books, [*letters, taken, refused], DOCUMENTS)
    assert told == [
        "persister-documents/0/0 is a dead letter: refused, ",
        "1 documents are wrongly called divergent, such as guest/1",
    ]


def test_outcomes_that_add_up_are_in_order() -> None:
    assert judge_outcomes(outcomes(consumed=10)) == []


def test_outcomes_that_do_not_add_up_are_found() -> None:
    assert judge_outcomes(outcomes(consumed=11)) == ["store: 11 records consumed, but 10 outcomes"]


def test_records_lost_to_retention_are_found() -> None:
    assert judge_outcomes(outcomes(consumed=10, lost={"completed0": 3}))


def outcomes(consumed: int, lost: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "route": {"consumed": 0},
        "store": {"consumed": consumed, "stored": 7, "duplicate": {"guard": 1, "database": 2}},
        "lost_to_retention": lost or {},
    }
