"""Which faults are played, and what is said of them."""

import pytest

from dev.chaos.__main__ import chosen
from dev.chaos.fault import Result
from dev.chaos.faults import FAULTS
from dev.chaos.report import failed, table

SIGKILLS = 50


def test_every_fault_says_what_must_hold_and_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(fault.holds and fault.recovery > 0 for fault in FAULTS)


def test_the_long_form_plays_all_and_kills_fifty_times() -> None:
    played = chosen(None, None, short=False)
    assert [fault for fault, _ in played] == list(FAULTS)
    assert [rounds * 2 for fault, rounds in played if fault.name == "sigkill"] == [SIGKILLS]


def test_the_short_form_plays_a_few() -> None:
    played = chosen(None, None, short=True)
    assert {"sigkill", "zombie"} <= {fault.name for fault, _ in played}
    assert len(played) < len(FAULTS) / 2


def test_those_that_are_named_are_played_as_often_as_asked() -> None:
    assert [(f.name, n) for f, n in chosen(["zombie"], 7, short=True)] == [("zombie", 7)]


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such fault: fire"):
        chosen(["fire"], None, short=False)


def test_the_table_tells_what_held_and_what_could_not_be_provoked() -> None:
    assert Result(FAULTS[0], recoveries=[None, 1.0, FAULTS[0].recovery + 1]).slow == 1
    held = Result(FAULTS[0], rounds=3, recoveries=[4.0, 9.5, 5.0])
    broken = Result(FAULTS[1], rounds=1, recoveries=[None], findings=["a record is lost"])
    skipped = Result(FAULTS[2], skipped="not on this machine")
    lines = table([held, broken, skipped]).splitlines()[1:]
    assert "5.0, most 9.5" in lines[0]
    assert lines[0].endswith("yes")
    assert lines[1].endswith("NO: 1 findings")
    assert lines[2].endswith("not provoked: not on this machine")
    assert not failed([held, skipped])
    assert failed([held, broken])
