"""For how long a worker said that it was ready while its work stood still."""

from typing import Any

from dev.chaos.honesty import Honesty

AT = ("topic", 0)


def says(*, ready: bool = True, mine: bool = True) -> dict[str, Any]:
    return {"ready": ready, "topics": {"topic": {"0": {"mine": mine}}}}


def longest(*moments: tuple[float, float, dict[int, dict[str, Any]]]) -> float:
    """Of what was seen at these seconds: how long it stood, and what workers said."""
    honesty = Honesty()
    for now, stands, said in moments:
        honesty.observe(now, {AT: stands} if stands else {}, said, "a fault")
    return honesty.longest.seconds


def test_it_counts_from_when_a_worker_was_first_seen_ready_while_its_work_stood_still() -> None:
    assert longest((100, 1, {1: says()}), (110, 11, {1: says()})) == 10
    assert longest((100, 50, {1: says(ready=False)}), (110, 60, {1: says()})) == 0


def test_what_moves_or_is_said_not_to_begins_anew() -> None:
    ready, not_ready = {1: says()}, {1: says(ready=False)}
    assert longest((100, 1, ready), (105, 0, ready), (110, 2, ready), (113, 5, ready)) == 3
    assert longest((100, 5, ready), (110, 2, ready)) == 2
    assert longest((100, 9, ready), (104, 13, not_ready), (109, 18, ready)) == 0


def test_a_partition_is_the_concern_of_its_reader() -> None:
    reader, other = says(ready=False), says(mine=False)
    assert longest((100, 9, {1: reader, 2: other}), (105, 14, {1: reader, 2: other})) == 0
    reader, other = says(), says(mine=False, ready=False)
    assert longest((100, 9, {1: reader, 2: other}), (105, 14, {1: reader, 2: other})) == 5


def test_what_nobody_reads_is_everybodys_concern() -> None:
    said = {1: says(mine=False, ready=False), 2: says(mine=False)}
    assert longest((100, 9, said), (105, 14, said)) == 5


def test_who_does_not_answer_says_nothing() -> None:
    assert longest((100, 9, {1: {}})) == 0


def test_where_and_during_what_it_was_is_kept() -> None:
    honesty = Honesty()
    for now, stands, during in ((100, 3, "a fault"), (104, 7, "a fault"), (106, 1, "another one")):
        honesty.observe(now, {AT: stands}, {1: says()}, during)
    assert honesty.longest.where == "worker 1, topic/0, a fault"


def test_who_says_why_a_partition_waits_is_not_silent() -> None:
    honesty = Honesty()
    answer = says()
    answer["topics"]["topic"]["0"] |= {"work": "waiting", "why": "3 of 5 are tried alone"}
    for now, stands in ((100, 3), (140, 43)):
        honesty.observe(now, {AT: stands}, {1: answer}, "a fault")
    assert honesty.longest.seconds == 0
    assert honesty.waited.seconds == 40
    assert honesty.waited.where == "worker 1, topic/0, a fault: … of … are tried alone"
