"""Fetches of all partitions together stay within one budget, and none starves the others."""

from collections.abc import Container, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import Assignment
from faust.types import TP

from app.kafka.gathering import SHORTEST_FETCH, Gathering
from app.kafka.patches.fetch_budget import ASKED_FOR, IDLE_LOOK, Within
from tests.fakes.time import Time

BUDGET = 800
BROKERS = ("one", "two")


IDLE_MS = 1500


class Gathers(Gathering):
    """Told for how long."""

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[TP, float] = {}

    def seconds_left(self, tps: Container[TP]) -> dict[TP, float]:
        return {tp: seconds for tp, seconds in self.left.items() if tp in tps}


class Shelf:
    def __init__(self) -> None:
        self.bytes: dict[TP, int] = {}
        self.unasked: set[TP] = set()
        self.asked: list[tuple[list[TP], float]] = []
        self.arrived_at = 0.0
        self.gathering = Gathers()

    def __iter__(self) -> Iterator[TP]:
        return iter(self.bytes)

    def waiting(self) -> int:
        return sum(self.bytes.values())

    def set_aside(self) -> None:
        for tp in self.unasked:
            self.bytes.pop(tp, None)

    def want(self, partitions: Iterable[TP], now: float) -> None:
        self.asked.append((sorted(partitions), now))

    def unwanted(self, tp: TP) -> bool:
        return tp in self.unasked


class Fetcher:
    """Asks both brokers, as aiokafka's would."""

    def __init__(self) -> None:
        self._client = SimpleNamespace(cluster=SimpleNamespace(brokers=lambda: BROKERS))
        self._in_flight: set[str] = set()
        self._fetch_max_bytes = 0
        self._fetch_max_wait_ms = IDLE_MS
        self.seen: list[TopicPartition] = []

    def _get_actions_per_node(self, assignment: Any) -> Any:
        self.seen = sorted(assignment.tps)
        free = [node for node in BROKERS if node not in self._in_flight]
        return [(node, "request") for node in free], {}, 0.2, False, []


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def assignment() -> Any:
    made = Assignment({TopicPartition("a", 0), TopicPartition("b", 0)})
    for tp in made.tps:
        made.state_value(tp).seek(0)
    return made


def nodes(actions: Any) -> list[str]:
    return [node for node, _ in actions[0]]


async def test_brokers_share_what_is_left(fetcher: Any, shelf: Shelf, assignment: Any) -> None:
    within = Within(fetcher, shelf, BUDGET)
    assert nodes(within.actions(assignment)) == ["one", "two"]
    assert fetcher._fetch_max_bytes == BUDGET // 2
    shelf.bytes[TP("a", 0)] = 200
    within.actions(assignment)
    assert fetcher._fetch_max_bytes == (BUDGET - 200) // 2


async def test_what_is_under_way_counts(fetcher: Any, shelf: Shelf, assignment: Any) -> None:
    within = Within(fetcher, shelf, BUDGET)
    within.actions(assignment)
    fetcher._in_flight = {"one"}
    assert nodes(within.actions(assignment)) == ["two"]
    assert fetcher._fetch_max_bytes == (BUDGET - BUDGET // 2) // 2


async def test_nothing_is_asked_for_when_nearly_nothing_is_left(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    within = Within(fetcher, shelf, BUDGET)
    shelf.bytes[TP("a", 0)] = BUDGET - BUDGET // ASKED_FOR + 1
    assert nodes(within.actions(assignment)) == []
    shelf.bytes[TP("a", 0)] -= 1
    assert nodes(within.actions(assignment)) == ["one", "two"]


async def test_what_nobody_takes_makes_room_for_the_others(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    shelf.bytes = {TP("a", 0): BUDGET}
    shelf.unasked = {TP("a", 0)}
    assert nodes(Within(fetcher, shelf, BUDGET).actions(assignment)) == ["one", "two"]
    assert fetcher._fetch_max_bytes == BUDGET // 2
    assert fetcher.seen == [TopicPartition("b", 0)]


async def test_what_nobody_takes_stays_while_only_a_fetch_under_way_leaves_no_room(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    """It was dropped with each fetch, although nearly all of the budget was free."""
    within = Within(fetcher, shelf, BUDGET)
    within.actions(assignment)
    fetcher._in_flight = {*BROKERS}
    shelf.bytes = {TP("a", 0): BUDGET - BUDGET // ASKED_FOR}
    shelf.unasked = {TP("a", 0)}
    within.actions(assignment)
    assert shelf.bytes
    shelf.bytes[TP("a", 0)] += 1
    within.actions(assignment)
    assert not shelf.bytes


async def test_a_position_is_found_for_a_partition_that_nobody_reads_yet(
    fetcher: Any, shelf: Shelf
) -> None:
    fresh = Assignment({TopicPartition("a", 0)})
    shelf.unasked = {TP("a", 0)}
    Within(fetcher, shelf, BUDGET).actions(fresh)
    assert fetcher.seen == [TopicPartition("a", 0)]


async def test_all_that_is_newly_assigned_counts_as_asked_for(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    time = Time()
    within = Within(fetcher, shelf, BUDGET, time.clock)
    for _ in range(2):
        within.actions(assignment)
        time.now += 1.0
    assert shelf.asked == [([TP("a", 0), TP("b", 0)], time.now - 2.0)]
    within.actions(Assignment({TopicPartition("b", 0)}))
    assert shelf.asked[1:] == [([TP("b", 0)], time.now)]


async def test_a_fetch_waits_for_records_as_long_as_what_it_leaves_out_has_waited(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    time = Time()
    within = Within(fetcher, shelf, BUDGET, time.clock)
    within.actions(assignment)
    assert fetcher._fetch_max_wait_ms == IDLE_MS
    shelf.bytes[TP("a", 0)] = 1
    shelf.arrived_at = time.now
    within.actions(assignment)
    assert fetcher._fetch_max_wait_ms == SHORTEST_FETCH * 1000
    time.now += 0.25
    within.actions(assignment)
    assert fetcher._fetch_max_wait_ms == 250
    time.now += 3600.0
    within.actions(assignment)
    assert fetcher._fetch_max_wait_ms == IDLE_MS
    shelf.arrived_at = time.now
    shelf.unasked = {TP("a", 0)}
    within.actions(assignment)
    assert fetcher._fetch_max_wait_ms == IDLE_MS


async def test_an_idle_fetcher_waits_for_the_answer_instead_of_looking_all_the_time(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    within = Within(fetcher, shelf, BUDGET)
    assert within.actions(assignment)[2] == IDLE_LOOK, "just asked"
    fetcher._in_flight = set(BROKERS)
    assert within.actions(assignment)[2] == IDLE_LOOK, "asked before"
    shelf.bytes[TP("a", 0)] = 1
    assert within.actions(assignment)[2] == 0.2, "it may be taken soon"


async def test_a_fetcher_that_could_ask_nobody_looks_again_soon(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    fetcher._get_actions_per_node = lambda _: ([], {}, 0.2, False, [])
    assert Within(fetcher, shelf, BUDGET).actions(assignment)[2] == 0.2


async def test_what_gathers_is_left_out_and_nobody_waits_for_longer_than_it_does(
    fetcher: Any, shelf: Shelf, assignment: Any
) -> None:
    within = Within(fetcher, shelf, BUDGET)
    shelf.gathering.left = {TP("a", 0): 0.015, TP("gone", 0): 0.001}
    look = within.actions(assignment)[2]
    assert fetcher.seen == [TopicPartition("b", 0)]
    assert fetcher._fetch_max_wait_ms == 15, "or a could not be asked for then"
    assert look == 0.015
    shelf.gathering.left = {}
    within.actions(assignment)
    assert fetcher.seen == [TopicPartition("a", 0), TopicPartition("b", 0)]
    assert fetcher._fetch_max_wait_ms == IDLE_MS


async def test_a_position_is_found_for_a_partition_that_gathers(fetcher: Any, shelf: Shelf) -> None:
    shelf.gathering.left = {TP("a", 0): 0.015}
    Within(fetcher, shelf, BUDGET).actions(Assignment({TopicPartition("a", 0)}))
    assert fetcher.seen == [TopicPartition("a", 0)]
