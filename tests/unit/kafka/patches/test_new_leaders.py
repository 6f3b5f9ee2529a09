"""Which batches wait until it is known what their leader has."""

import pytest
from faust.types import TP

from app.kafka.patches.new_leaders import KEPT, NewLeaders, Read

ONE = TP("completed0", 0)


class Asked(NewLeaders):
    def __init__(self) -> None:
        super().__init__(lambda *asked: self.asked.append(asked))
        self.asked: list[tuple[TP, Read, int]] = []


@pytest.mark.parametrize("epoch", [None, 3])
def test_what_is_of_no_other_epoch_does_not_wait(epoch: int | None) -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert not leaders.holds_back(ONE, epoch, 8)
    assert leaders.asked == []


def test_the_first_batch_is_asked_for_too() -> None:
    """A log may begin with an epoch that its leader does not know any more."""
    leaders = Asked()
    assert leaders.holds_back(ONE, 6, 8)
    assert leaders.holds_back(ONE, 6, 8), "nobody asks twice"
    assert leaders.asked == [(ONE, Read(8, None), 6)]
    leaders.go_on(ONE, Read(8, None), 6)
    assert not leaders.holds_back(ONE, 6, 8)
    leaders.taken(ONE, 6, 9)
    assert leaders.read(ONE) == Read(9, 6)


def test_what_the_leader_does_not_know_is_never_noted() -> None:
    leaders = Asked()
    assert leaders.holds_back(ONE, 6, 0)
    leaders.go_on(ONE, Read(0, None), None)
    leaders.taken(ONE, 6, 10)
    assert not leaders.holds_back(ONE, 6, 10)
    leaders.taken(ONE, 6, 20)
    assert leaders.epoch_before(ONE, 20) is None
    assert leaders.holds_back(ONE, 2, 20)
    leaders.go_on(ONE, Read(20, None), 2)
    leaders.taken(ONE, 2, 30)
    assert [leaders.epoch_before(ONE, at) for at in (0, 20, 21, 30)] == [None, None, 2, 2]
    assert leaders.asked == [(ONE, Read(0, None), 6), (ONE, Read(20, None), 2)]


def test_a_committed_offset_has_the_epoch_of_what_stands_before_it() -> None:
    """What was fetched behind it may wait for long, and the next leader may lack it."""
    leaders = Asked()
    leaders.read_from(ONE, 90, 3)
    for epoch, offset in [(3, 95), (4, 100), (4, 105), (6, 110)]:
        leaders.taken(ONE, epoch, offset)
    before = [leaders.epoch_before(ONE, at) for at in (90, 95, 96, 100, 105, 106, 110, 120)]
    assert before == [3, 3, 4, 4, 4, 6, 6, 6]
    leaders.go_back(ONE, 100)
    assert leaders.read(ONE) == Read(100, 4)


def test_the_epochs_that_are_remembered_are_bounded() -> None:
    leaders = Asked()
    for epoch in range(1000):
        leaders.taken(ONE, epoch, epoch + 1)
    first = 1000 - KEPT
    assert leaders.epoch_before(ONE, first) == leaders.epoch_before(ONE, 1) == first - 1
    assert leaders.epoch_before(ONE, 1000) == 999


def test_a_next_epoch_counts_only_once_something_of_it_was_taken() -> None:
    """What waited may be dropped, and the next leader may lack it."""
    leaders = Asked()
    leaders.taken(ONE, 4, 8)
    assert leaders.holds_back(ONE, 5, 8)
    leaders.go_on(ONE, Read(8, 4), 5)
    assert leaders.read(ONE) == Read(8, 4)
    assert leaders.holds_back(ONE, 6, 8)
    assert leaders.asked[1:] == [(ONE, Read(8, 4), 6)]


def test_a_going_back_is_remembered_until_positions_are_set_anew() -> None:
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    leaders.lacks_end(ONE, Read(8, 5), None)
    leaders.go_back(ONE, 0)
    leaders.lacks_end(ONE, Read(8, 5), None)
    assert leaders.went_back(ONE, Read(8, 5))
    assert not leaders.went_back(ONE, Read(9, 5))
    leaders.lacks_end(ONE, Read(8, 5), 4)
    assert not leaders.went_back(ONE, Read(8, 5)), "there is a place from which on it is another"
    leaders.forget()
    leaders.lacks_end(ONE, Read(8, 5), None)
    assert not leaders.went_back(ONE, Read(8, 5))


def test_what_is_read_on_after_a_going_back_is_no_reason_for_another_one() -> None:
    """Nothing of it is known, so the leader is asked for what was known before."""
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    leaders.lacks_end(ONE, Read(8, 5), None)
    leaders.go_back(ONE, 0)
    leaders.taken(ONE, 5, 8)
    leaders.holds_back(ONE, 2, 8)
    leaders.go_on(ONE, Read(8, 5), None)
    leaders.taken(ONE, 2, 12)
    (read,) = leaders.history(ONE)
    leaders.lacks_end(ONE, read, None)
    assert leaders.went_back(ONE, read)


def test_which_partitions_wait() -> None:
    leaders = Asked()
    other = TP("completed0", 1)
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, 5, 8)
    assert (leaders.is_waiting(ONE), leaders.is_waiting(other)) == (True, False)
    assert leaders.waiting() == {ONE}
    leaders.read_from(ONE, 6, 3)
    assert not leaders.is_waiting(ONE)
    assert leaders.waiting() == frozenset()


def test_what_is_taken_again_changes_nothing() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    leaders.taken(ONE, 1, 4)
    assert leaders.read(ONE) == Read(8, 3)


def test_an_answer_counts_only_for_what_was_asked() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, 5, 8)
    leaders.read_from(ONE, 6, 3)
    leaders.go_on(ONE, Read(8, 3), 5)
    assert leaders.read(ONE) == Read(6, 3)
    assert leaders.holds_back(ONE, 5, 8)
    assert leaders.asked == [(ONE, Read(8, 3), 5), (ONE, Read(6, 3), 5)]


def test_each_other_epoch_is_asked_for() -> None:
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, 5, 8)
    leaders.go_on(ONE, Read(8, 3), 5)
    assert not leaders.holds_back(ONE, 5, 8)
    leaders.taken(ONE, 5, 9)
    assert leaders.read(ONE) == Read(9, 5)
    assert leaders.holds_back(ONE, 6, 9)
    assert leaders.holds_back(ONE, 4, 9), "epochs only rise: it is another log, or read again"
    assert leaders.asked == [(ONE, Read(8, 3), 5), (ONE, Read(9, 5), 6)]


@pytest.mark.parametrize("odd", [1, 0x40000003])
def test_what_a_batch_says_is_believed_only_as_far_as_its_leader_knows_it(odd: int) -> None:
    """The checksum does not cover it."""
    leaders = Asked()
    leaders.taken(ONE, 3, 8)
    assert leaders.holds_back(ONE, odd, 8)
    leaders.go_on(ONE, Read(8, 3), 3)
    assert not leaders.holds_back(ONE, odd, 8)
    leaders.taken(ONE, odd, 9)
    assert leaders.read(ONE) == Read(9, 3)
    assert not leaders.holds_back(ONE, 3, 8)
    leaders.taken(ONE, 3, 10)
    assert leaders.holds_back(ONE, odd, 8), "a leader may have this epoch by now"


def test_what_a_leader_has_of_what_was_read_counts_once_that_is_read_again() -> None:
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    assert leaders.holds_back(ONE, 6, 8)
    leaders.lacks_end(ONE, Read(8, 5), 3)
    assert leaders.read(ONE) == Read(8, 5)
    leaders.go_back(ONE, 4)
    assert leaders.read(ONE) == Read(4, 3)
    leaders.go_back(ONE, 2)
    assert leaders.read(ONE) == Read(2, 3)


def test_how_far_the_epochs_before_were_read_is_known_after_a_going_back() -> None:
    """The leader is asked where they end next: its log may differ from still further before."""
    leaders = Asked()
    for epoch, offset in [(2, 4), (6, 8), (9, 12)]:
        leaders.taken(ONE, epoch, offset)
    leaders.lacks_end(ONE, Read(12, 9), 7)
    leaders.go_back(ONE, 8)
    assert leaders.history(ONE) == (Read(4, 2), Read(8, 6))
    leaders.lacks_end(ONE, Read(8, 6), 3)
    leaders.go_back(ONE, 6)  # where its log begins
    assert leaders.history(ONE) == (Read(4, 2), Read(6, 3))


def test_what_is_of_no_known_epoch_ends_no_history() -> None:
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    leaders.holds_back(ONE, 9, 8)
    leaders.go_on(ONE, Read(8, 5), None)
    leaders.taken(ONE, 9, 12)
    assert leaders.read(ONE) == Read(12, None)
    assert leaders.history(ONE) == (Read(8, 5),)
    leaders.read_from(ONE, 12, None)
    assert leaders.history(ONE) == ()


def test_after_a_going_back_the_next_batch_is_asked_for_whatever_it_says() -> None:
    """The epoch before it ends there. One that says the same is of another leader, or damaged."""
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    leaders.lacks_end(ONE, Read(8, 5), 5)
    leaders.go_back(ONE, 6)
    assert leaders.holds_back(ONE, 5, 6)
    assert leaders.asked == [(ONE, Read(6, 5), 5)]
    leaders.go_on(ONE, Read(6, 5), 5)
    assert not leaders.holds_back(ONE, 5, 6)
    leaders.taken(ONE, 5, 8)
    leaders.go_back(ONE, 6)
    leaders.read_from(ONE, 6, 5)
    assert not leaders.holds_back(ONE, 5, 6), "positions have been set anew"


def test_what_is_denied_is_fetched_again_once_each_time_that_it_is_read() -> None:
    """Two may lead in turn: the second time it may be of one that was replaced, too."""
    leaders = Asked()
    for _ in range(2):
        leaders.read_from(ONE, 8, 5)
        assert leaders.holds_back(ONE, 7, 8)
        assert leaders.denied_first(ONE, Read(8, 5), 7)
        assert leaders.holds_back(ONE, 7, 8)
        assert not leaders.denied_first(ONE, Read(8, 5), 7)


def test_nothing_is_known_of_a_log_that_has_nothing_of_what_was_read() -> None:
    leaders = Asked()
    leaders.taken(ONE, 5, 8)
    leaders.lacks_end(ONE, Read(8, 5), None)
    leaders.go_back(ONE, 0)
    assert leaders.read(ONE) is None
    leaders.go_back(ONE, 0)
    assert leaders.read(ONE) is None
