"""How far a worker was with its partitions, over rebalances."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.own_progress import OwnProgress
from app.kafka.delivery.resume import Own

ONE, OTHER = TP("topic", 0), TP("topic", 1)
OLD, NEW = b"old".ljust(16), b"new".ljust(16)


@pytest.fixture
def group() -> Any:
    return SimpleNamespace(generation=7)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def progress(ledger: Ledger, group: Any) -> OwnProgress:
    made = OwnProgress(ledger, lambda: group.generation)
    ledger.reset({ONE: 5})
    made.placed()
    made.note([ONE, OTHER], {ONE: OLD})
    ledger.reset({})
    return made


def test_what_had_a_position_is_remembered(progress: OwnProgress) -> None:
    assert progress.of(ONE, OLD) == progress.of(ONE, None) == Own(5, 5)
    assert progress.of(OTHER, None) is None
    assert progress.topics([ONE, OTHER]) == {ONE: OLD}


def test_what_was_of_another_topic_means_nothing(progress: OwnProgress) -> None:
    assert progress.of(ONE, NEW) is None
    assert progress.topics([ONE]) == {ONE: OLD}


def test_what_was_kept_is_remembered_over_generations_without_a_position(
    progress: OwnProgress, group: Any
) -> None:
    for _ in range(3):
        group.generation += 1
        progress.note([ONE], {})
    assert progress.of(ONE, OLD) == Own(5, 5)


def test_what_another_worker_may_have_had_is_forgotten(progress: OwnProgress, group: Any) -> None:
    group.generation += 2
    assert progress.of(ONE, OLD) is None
    assert progress.topics([ONE]) == {}


def test_what_was_taken_away_is_forgotten(progress: OwnProgress) -> None:
    progress.note([OTHER], {})
    assert progress.of(ONE, OLD) is None


def test_what_is_to_be_forgotten_is(progress: OwnProgress) -> None:
    progress.forget([ONE, OTHER])
    assert progress.of(ONE, OLD) is None
