"""When a worker of the group is known to write to another database, and when it only seems so."""

from msgspec.structs import replace

from app.monitoring.group.rivals import LOOKS, Rivals, is_second
from app.monitoring.group.roster import Heard
from app.monitoring.group.snapshot import DatabaseState, Snapshot


def worker(name: str, identity: str, looks: int = 1, *, group: str = "g") -> Snapshot:
    return Snapshot(
        name, group=group, started=100.0, database=DatabaseState(identity=identity, looks=looks)
    )


def looked(snapshot: Snapshot, times: int = LOOKS, identity: str | None = None) -> Snapshot:
    """The same worker after it has looked again."""
    before = snapshot.database
    return replace(
        snapshot,
        database=DatabaseState(
            identity=before.identity if identity is None else identity, looks=before.looks + times
        ),
    )


def look(
    rivals: Rivals, own: Snapshot, *others: Snapshot, missing: bool = False
) -> Snapshot | None:
    return rivals.look(own, [Heard(one, 0.0, missing=missing) for one in others])


def test_one_that_found_another_database_again_and_again_writes_to_another_one() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "B")
    assert look(rivals, own, other) is None
    assert rivals.unclear == other
    assert look(rivals, looked(own), looked(other)) == looked(other)


def test_one_that_found_the_same_is_no_rival() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "A")
    for times in range(10):
        assert look(rivals, looked(own, times), looked(other, times)) is None
        assert rivals.unclear is None


def test_nothing_is_known_before_both_have_looked_again() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "B")
    assert look(rivals, own, other) is None
    assert look(rivals, looked(own, 9), looked(other, LOOKS - 1)) is None
    assert look(rivals, looked(own, LOOKS - 1), looked(other, 9)) is None


def test_a_database_that_was_re_created_is_noticed_by_one_after_the_other() -> None:
    """This worker starts after that, and the other has not looked since."""
    rivals = Rivals()
    own, other = worker("own", "new"), worker("other", "old", 7)
    assert look(rivals, own, other) is None
    own, other = looked(own, 5), looked(other, 1)
    assert look(rivals, own, other) is None
    assert look(rivals, own, looked(other, 1, "new")) is None
    assert rivals.unclear is None
    assert look(rivals, looked(own, 9), looked(other, 9, "new")) is None


def test_a_worker_that_has_not_noticed_it_yet_finds_no_rival_in_those_that_have() -> None:
    rivals = Rivals()
    own, other = worker("own", "old", 7), worker("other", "old", 7)
    assert look(rivals, own, other) is None
    other = looked(other, 1, "new")
    for times in range(10):
        assert look(rivals, own, looked(other, times)) is None
    assert look(rivals, looked(own, 1, "new"), looked(other, 10)) is None


def test_where_both_ever_found_the_same_it_is_one_that_answers_in_two_places() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "B")
    for turn in range(10):
        own = looked(own, 1, "AB"[turn % 2])
        other = looked(other, 1, "BA"[turn % 2])
        assert look(rivals, own, other) is None
    assert look(rivals, looked(own, 9, "A"), looked(other, 9, "B")) is None


def test_one_that_does_not_say_which_it_is_gives_no_evidence() -> None:
    rivals = Rivals()
    own, silent = worker("own", "A"), worker("other", "")
    for times in range(10):
        assert look(rivals, looked(own, times), looked(silent, times)) is None
        assert look(rivals, looked(silent, times), looked(own, times)) is None
        assert rivals.unclear is None


def test_another_group_may_have_another_database() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "B", group="copy")
    for times in range(10):
        assert look(rivals, looked(own, times), looked(other, times)) is None
        assert rivals.unclear is None


def test_one_that_crashed_is_no_rival_of_its_successor() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "B")
    assert look(rivals, own, other) is None
    assert look(rivals, looked(own, 9), other) is None
    assert rivals.unclear == other
    assert look(rivals, looked(own, 9), other, missing=True) is None
    assert rivals.unclear is None


def test_a_rival_that_starts_again_is_looked_at_again() -> None:
    rivals = Rivals()
    own, other = worker("own", "A"), worker("other", "B", 50)
    assert look(rivals, own, other) is None
    own, restarted = looked(own, 9), worker("other", "B", 1)
    assert look(rivals, own, restarted) is None
    assert look(rivals, looked(own), looked(restarted)) == looked(restarted)


def test_of_two_exactly_one_came_second() -> None:
    one, two = worker("one", "A"), replace(worker("two", "B"), started=101.0)
    assert not is_second(one, two)
    assert is_second(two, one)
    twin = replace(one, worker="two")
    assert is_second(one, twin) is not is_second(twin, one)
