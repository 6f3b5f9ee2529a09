"""The random order of faults, and its figures."""

from typing import Any

from dev.chaos.fault import Kind
from dev.chaos.faults import FAULTS
from dev.chaos.honesty import Silence
from dev.chaos.randomly import Figures, RandomPlay


def order(seed: int, count: int = 400) -> list[str]:
    play: Any = None
    random = RandomPlay(play, FAULTS, seed=seed, say=print)
    return [random._next().name for _ in range(count)]


def test_every_fault_that_may_come_at_any_time_comes_whatever_others_its_kind_has() -> None:
    assert set(order(1)) == {fault.name for fault in FAULTS if fault.anytime}
    kinds = {fault.name: fault.kind for fault in FAULTS}
    came = [kinds[name] for name in order(1)]
    for kind in set(Kind) - {Kind.DEFAULTS}:
        assert came.count(kind) > 15, kind


def test_a_seed_gives_the_same_order_again() -> None:
    assert order(5) == order(5) != order(6)


def test_the_figures_say_what_was_seen() -> None:
    figures = Figures(records=12, silence=Silence(8.4, "worker 1, topic/0, a fault"))
    figures.faults.update({"broker": 2, "disk": 1})
    lines = figures.lines()
    assert "faults                3: broker 2, disk 1" in lines
    assert "ready standing still  8.4 s (worker 1, topic/0, a fault)" in lines
