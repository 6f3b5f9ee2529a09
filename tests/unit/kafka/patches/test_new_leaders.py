"""Which batches wait until it is known what their leader has."""

import pytest
from faust.types import TP

from app.kafka.patches.new_leaders import NewLeaders, Read

ONE = TP("completed0", 0)


class Asked(NewLeaders):
    def __init__(self) -> None:
        super().__init__(lambda *asked: self.asked.append(asked))
        self.asked: list[tuple[TP, Read, int]] = []


@pytest.mark.parametrize("epoch", [None, 3])
def test_what_is_of_no_other_epoch_does_not_wait(epoch: int | None) -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert not leaders.holds_back(ONE, epoch)
    assert leaders.asked == []


def test_nothing_waits_where_the_epoch_of_what_was_read_is_not_known() -> None:
    leaders = Asked()
    leaders.read_from(ONE, 8, None)
    assert not leaders.holds_back(ONE, 5)


def test_what_is_taken_again_changes_nothing() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    leaders.taken(ONE, 1, 4)
    assert leaders.read(ONE) == Read(8, 3)


def test_an_answer_counts_only_for_what_was_asked() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, 5)
    leaders.read_from(ONE, 6, 3)
    leaders.go_on(ONE, Read(8, 3), 5)
    assert leaders.read(ONE) == Read(6, 3)
    assert leaders.holds_back(ONE, 5)
    assert leaders.asked == [(ONE, Read(8, 3), 5), (ONE, Read(6, 3), 5)]


def test_each_other_epoch_is_asked_for() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, 5)
    leaders.go_on(ONE, Read(8, 3), 5)
    assert leaders.read(ONE) == Read(8, 5)
    assert not leaders.holds_back(ONE, 5)
    assert leaders.holds_back(ONE, 6)
    assert leaders.holds_back(ONE, 4), "epochs only rise: it is another log, or read again"
    assert leaders.asked == [(ONE, Read(8, 3), 5), (ONE, Read(8, 5), 6)]


@pytest.mark.parametrize("odd", [1, 0x40000003])
def test_what_a_batch_says_is_believed_only_as_far_as_its_leader_knows_it(odd: int) -> None:
    """The checksum does not cover it."""
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, odd)
    leaders.go_on(ONE, Read(8, 3), 3)
    assert not leaders.holds_back(ONE, odd)
    leaders.taken(ONE, odd, 9)
    assert leaders.read(ONE) == Read(9, 3)
    assert not leaders.holds_back(ONE, 3)
    leaders.taken(ONE, 3, 10)
    assert leaders.holds_back(ONE, odd), "a leader may have this epoch by now"


def test_what_a_leader_has_of_what_was_read_counts_once_that_is_read_again() -> None:
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    assert leaders.holds_back(ONE, 6)
    leaders.lacks_end(ONE, Read(8, 5), 3)
    assert leaders.read(ONE) == Read(8, 5)
    leaders.go_back(ONE, 4)
    assert leaders.read(ONE) == Read(4, 3)
    leaders.go_back(ONE, 2)
    assert leaders.read(ONE) == Read(2, 3)


def test_nothing_is_known_of_a_log_that_has_nothing_of_what_was_read() -> None:
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    leaders.lacks_end(ONE, Read(8, 5), None)
    leaders.go_back(ONE, 0)
    assert leaders.read(ONE) is None
    leaders.go_back(ONE, 0)
    assert leaders.read(ONE) is None
