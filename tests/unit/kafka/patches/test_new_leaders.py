"""Which batches wait until it is known what their leader has."""

import pytest
from faust.types import TP

from app.kafka.patches.new_leaders import NewLeaders, Read

ONE = TP("completed0", 0)


class Asked(NewLeaders):
    def __init__(self) -> None:
        super().__init__(lambda tp, read: self.asked.append((tp, read)))
        self.asked: list[tuple[TP, Read]] = []


@pytest.mark.parametrize("epoch", [None, 2, 3])
def test_what_is_of_no_later_epoch_does_not_wait(epoch: int | None) -> None:
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
    leaders.go_on(ONE, Read(8, 3))
    assert leaders.read(ONE) == Read(6, 3)
    assert leaders.holds_back(ONE, 5)
    assert leaders.asked == [(ONE, Read(8, 3)), (ONE, Read(6, 3))]


def test_each_later_epoch_is_asked_for() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, 5)
    leaders.go_on(ONE, Read(8, 3))
    assert leaders.read(ONE) == Read(8, 5)
    assert not leaders.holds_back(ONE, 5)
    assert leaders.holds_back(ONE, 6)
    assert leaders.asked == [(ONE, Read(8, 3)), (ONE, Read(8, 5))]
