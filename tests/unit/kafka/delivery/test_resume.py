"""Where to resume reading a partition, and what has become of its log."""

import logging

import pytest
from faust.types import TP

from app.kafka.delivery.resume import (
    Change,
    Expired,
    Overtaken,
    Overwritten,
    Own,
    Recreated,
    Shortened,
    Start,
    passed,
    start,
)

ONE = TP("completed0", 3)


@pytest.mark.parametrize(
    "committed, earliest, end, cut, expected",
    [
        pytest.param(7, 0, 9, None, Start(7), id="the records are there"),
        pytest.param(9, 0, 9, None, Start(9), id="all of it is read"),
        pytest.param(0, 0, 0, None, Start(0), id="the log is empty"),
        pytest.param(None, 4, 9, None, Start(4), id="the group never committed"),
        pytest.param(5, 7, 9, None, Start(7, Expired(5, 6)), id="retention came first"),
        pytest.param(9, 9, 9, None, Start(9), id="retention deleted what was read"),
        pytest.param(10, 2, 9, None, Start(2, Recreated(10, 9)), id="it is a new topic"),
        pytest.param(8, 2, 9, 6, Start(6, Overwritten(8, 6)), id="its end was overwritten"),
        pytest.param(8, 7, 9, 6, Start(7, Overwritten(8, 6)), id="overwritten, then expired"),
        pytest.param(10, 2, 9, 6, Start(2, Recreated(10, 9)), id="cut, and still shorter"),
    ],
)
def test_where_to_resume(
    committed: int | None, earliest: int, end: int, cut: int | None, expected: Start
) -> None:
    assert start(committed, earliest, end, cut) == expected


@pytest.mark.parametrize(
    "committed, earliest, end, cut, expected",
    [
        pytest.param(4, 0, 9, None, Start(4), id="what is finished"),
        pytest.param(2, 0, 9, None, Start(2), id="a commit of what is finished was refused"),
        pytest.param(9, 0, 9, None, Start(4, Overtaken(4, 9)), id="the end"),
        pytest.param(50, 2, 9, None, Start(2, Recreated(50, 9)), id="beyond the end, or new"),
        pytest.param(9, 5, 9, None, Start(5, Expired(4, 4)), id="and retention"),
        pytest.param(9, 0, 9, 3, Start(3, Overtaken(4, 9)), id="and a log that was cut"),
        pytest.param(9, 0, 9, 8, Start(4, Overtaken(4, 9)), id="a cut that means nothing"),
        pytest.param(7, 0, 3, None, Start(0, Recreated(7, 3)), id="in another topic"),
        pytest.param(None, 2, 9, None, Start(2), id="nothing any more"),
    ],
)
def test_where_to_resume_what_somebody_else_has_committed(
    committed: int | None, earliest: int, end: int, cut: int | None, expected: Start
) -> None:
    assert start(committed, earliest, end, cut, own=Own(4, 4)) == expected


@pytest.mark.parametrize(
    "committed, earliest, end, cut, expected",
    [
        pytest.param(7, 0, 9, None, Start(4), id="before the end"),
        pytest.param(8, 0, 6, 4, Start(4), id="beyond it"),
        pytest.param(8, 5, 9, 4, Start(5, Expired(4, 4)), id="and retention"),
        pytest.param(8, 0, 9, 3, Start(3, Overwritten(4, 3)), id="and more was cut"),
        pytest.param(9, 0, 9, None, Start(4, Overtaken(4, 9)), id="and somebody else's"),
        pytest.param(8, 0, 3, 2, Start(2, Overwritten(8, 2)), id="and more of the end is lost"),
    ],
)
def test_whoever_has_gone_back_and_could_not_commit_it_reads_on_from_there_and_accuses_nobody(
    committed: int, earliest: int, end: int, cut: int | None, expected: Start
) -> None:
    assert start(committed, earliest, end, cut, Own(4, 8), recreated=False) == expected


@pytest.mark.parametrize(
    "committed, own, expected",
    [
        pytest.param(7, None, Start(2, Recreated(7, 9)), id="shorter than the new one"),
        pytest.param(50, None, Start(2, Recreated(50, 9)), id="longer"),
        pytest.param(0, None, Start(2, Recreated(0, 9)), id="of which nothing was read"),
        pytest.param(
            50, Own(4, 4), Start(2, Recreated(50, 9)), id="and somebody else has committed"
        ),
        pytest.param(None, None, Start(2), id="whose offsets Kafka has deleted"),
    ],
)
def test_a_topic_with_another_id_is_read_from_its_start_whatever_is_committed(
    committed: int | None, own: Own | None, expected: Start
) -> None:
    assert start(committed, 2, 9, 6, own, recreated=True) == expected


def test_the_same_topic_that_ends_before_what_is_committed_has_lost_its_end() -> None:
    assert start(10, 2, 9, 6, recreated=False) == Start(6, Overwritten(10, 6))
    assert start(10, 2, 9, None, recreated=False) == Start(2, Shortened(10, 9))


@pytest.mark.parametrize(
    "earliest, cut, expected",
    [
        pytest.param(0, 2, Start(2, Overwritten(5, 2)), id="its end"),
        pytest.param(3, 2, Start(3, Overwritten(5, 2)), id="and its start has expired"),
        pytest.param(0, 5, Start(0, Recreated(5, 3)), id="nothing"),
    ],
)
def test_where_to_go_on_in_a_log_that_has_lost(earliest: int, cut: int, expected: Start) -> None:
    assert passed(5, earliest, 3, 0, cut) == expected


def test_a_log_of_the_same_topic_that_ends_before_the_position_has_lost_its_end() -> None:
    assert passed(5, 0, 3, 0, recreated=False) == Start(0, Shortened(5, 3))
    assert passed(5, 0, 3, 0, 2, recreated=False) == Start(2, Overwritten(5, 2))


def test_what_is_committed_beyond_the_end_of_the_same_topic_was_committed_by_somebody_else() -> (
    None
):
    assert start(50, 0, 9, None, Own(4, 4), recreated=False) == Start(4, Overtaken(4, 50))


@pytest.mark.parametrize("own", [None, Own(12, 12)])
def test_the_same_topic_that_ends_before_what_is_committed_was_not_recreated(
    own: Own | None,
) -> None:
    assert start(10, 2, 9, None, own, recreated=False) == Start(2, Shortened(10, 9))


@pytest.mark.parametrize(
    "change, level, says",
    [
        (Expired(5, 6), logging.ERROR, "Lost 2 records of completed0/3: Kafka's retention"),
        (Recreated(10, 9), logging.WARNING, "completed0/3 was read up to offset 10, but ends at 9"),
        (Recreated(7, 9), logging.WARNING, "completed0/3 was deleted and re-created since it was"),
        (Shortened(10, 9), logging.ERROR, "completed0/3 was read up to offset 10, but ends at 9"),
        (Overtaken(4, 9), logging.ERROR, "Another client of the group has committed offset 9 of"),
        (Overwritten(8, 6), logging.ERROR, "completed0/3 was read up to offset 8, but Kafka has"),
    ],
)
def test_what_is_logged(change: Change, level: int, says: str) -> None:
    assert change.level == level
    assert change.message(ONE).startswith(says)


def test_what_is_logged_of_a_loss_says_what_would_have_helped() -> None:
    assert "more of them, and raise retention.ms" in Expired(5, 6).message(ONE)
    internal = Expired(5, 6).message(TP("a-persister-documents", 0))
    assert "raise PERSISTER_DOCUMENTS_RETENTION" in internal


@pytest.mark.parametrize(
    "earliest, end, came, expected",
    [
        pytest.param(7, 9, None, Start(7, Expired(5, 6)), id="all is deleted"),
        pytest.param(7, 7, None, Start(7, Expired(5, 6)), id="all is deleted, and none is new"),
        pytest.param(3, 9, None, None, id="the records are there"),
        pytest.param(7, 6, None, None, id="it begins after its end"),
        pytest.param(0, 9, 8, Start(8), id="a hole"),
        pytest.param(7, 9, 8, Start(8, Expired(5, 6)), id="deleted, and a hole"),
        pytest.param(9, 9, 8, Start(8, Expired(5, 7)), id="deleted since they came"),
        pytest.param(0, 3, 0, Start(0, Recreated(5, 3)), id="a new topic"),
        pytest.param(0, 9, 0, None, id="they have come twice"),
    ],
)
def test_where_to_go_on_without_a_record_at_the_position(
    earliest: int, end: int, came: int | None, expected: Start | None
) -> None:
    assert passed(5, earliest, end, came) == expected
