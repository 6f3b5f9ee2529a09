"""How much a reader may take of what strangers write."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.allowance import OF_A_RECORD, Allowance, cost
from tests.fakes.time import Clock


def test_it_is_spent_at_once_and_comes_back_slowly() -> None:
    clock = Clock()
    allowance = Allowance(100, 1000, clock=clock)
    allowance.spend(999)
    assert allowance.wait() == 0
    allowance.spend(101)
    assert allowance.wait() == pytest.approx(1.5)
    clock.now += allowance.wait()
    assert allowance.wait() == 0
    allowance.spend(49)
    assert allowance.wait() == 0
    allowance.spend(2)
    assert allowance.wait() > 0


def test_no_more_is_saved_up_than_may_be_taken_at_once() -> None:
    clock = Clock()
    allowance = Allowance(100, 1000, clock=clock)
    clock.now += 3600
    allowance.spend(1001)
    assert allowance.wait() > 0


def test_a_record_costs_its_contents_and_more() -> None:
    def record(**given: Any) -> Any:
        return SimpleNamespace(**{"key": None, "value": None, "headers": (), **given})

    assert cost([]) == 0
    assert cost([record(), record(value=b"v" * 10)]) == 2 * OF_A_RECORD + 10
    assert cost([record(key=b"k" * 10)]) == OF_A_RECORD + 10
    assert cost([record(headers=(("n" * 10, None), ("", b"v" * 10)))]) > OF_A_RECORD + 20
