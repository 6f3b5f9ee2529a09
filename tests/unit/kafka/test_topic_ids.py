"""Whom to ask for the id of a topic, and when to believe it."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from faust.types import TP

from app.kafka.topic_ids import MOST_OTHERS, ids

ONE, TWO, LETTERS = TP("one", 0), TP("two", 0), TP("letters", 0)
OLD, NEW, OTHER = b"old".ljust(16), b"new".ljust(16), b"other".ljust(16)

UNKNOWN_TOPIC = 3


class Cluster:
    """Brokers that each have their own idea of the topics' ids: one for each question, or always.

    Args:
        brokers: what each tells, by its number: ids by topic, or an error.
        leaders: of the partitions; of others none is known.
    """

    def __init__(self, brokers: dict[int, Any], leaders: dict[TP, int]) -> None:
        self._brokers = brokers
        self.asked: list[int] = []
        self.cluster = SimpleNamespace(
            brokers=lambda: [SimpleNamespace(nodeId=node) for node in brokers],
            leader_for_partition=lambda tp: leaders.get(TP(*tp), -1),
        )

    def get_random_node(self) -> int | None:
        return next(iter(self._brokers), None)

    async def send(self, node: int, request: Any) -> Any:
        self.asked.append(node)
        struct = request.prepare({3: (0, 12)})
        # What is on the wire, and back.
        topics = [topic for _, topic, _ in type(struct).decode(struct.encode()).topics]
        told = self._brokers[node]
        if isinstance(told, list):
            told = told.pop(0)
        if isinstance(told, Exception):
            raise told
        return SimpleNamespace(
            topics=[
                (0, topic, told[topic]) if topic in told else (UNKNOWN_TOPIC, topic, bytes(16))
                for topic in topics
            ]
        )


async def test_each_leader_is_asked_of_its_topics() -> None:
    cluster = Cluster({1: {"one": OLD}, 2: {"two": OTHER}, 3: {}}, {ONE: 1, TWO: 2})
    assert await ids(cluster, [ONE, TWO], {ONE: OLD}) == {ONE: OLD, TWO: OTHER}
    assert sorted(cluster.asked) == [1, 2]


async def test_a_new_id_is_believed_when_another_broker_tells_it_too() -> None:
    cluster = Cluster({1: {"one": NEW}, 2: {"one": NEW}}, {ONE: 1})
    assert await ids(cluster, [ONE], {ONE: OLD}) == {ONE: NEW}
    assert cluster.asked == [1, 2]


@pytest.mark.parametrize("others", [{"one": OLD}, {"one": OTHER}, {}, KafkaConnectionError()])
async def test_a_new_id_that_only_one_broker_tells_is_not_believed(others: Any) -> None:
    cluster = Cluster({1: {"one": NEW}, 2: others, 3: others}, {ONE: 1})
    assert await ids(cluster, [ONE], {ONE: OLD}) == {}


async def test_one_broker_that_lags_does_not_keep_a_new_id_from_being_believed() -> None:
    cluster = Cluster({1: {"one": NEW}, 2: {"one": OLD}, 3: {"one": NEW}}, {ONE: 1})
    assert await ids(cluster, [ONE], {ONE: OLD}) == {ONE: NEW}


async def test_of_a_large_cluster_not_all_are_asked() -> None:
    brokers = {number: {"one": OLD} for number in range(2, 30)}
    cluster = Cluster({1: {"one": NEW}, **brokers}, {ONE: 1})
    assert await ids(cluster, [ONE], {ONE: OLD}) == {}
    assert len(cluster.asked) == 1 + MOST_OTHERS


async def test_however_many_ids_are_new_each_broker_is_asked_once() -> None:
    """One that is frozen would cost its time for each of them, and positions wait for that."""
    now = {f"topic{number}": NEW for number in range(30)}
    partitions = [TP(topic, number) for topic in now for number in range(2)]
    cluster = Cluster({1: now, 2: now, 3: {}}, dict.fromkeys(partitions, 1))
    found = await ids(cluster, partitions, dict.fromkeys(partitions, OLD))
    assert found == dict.fromkeys(partitions, NEW)
    assert sorted(cluster.asked) == [1, 2, 3]


async def test_the_only_broker_is_asked_twice() -> None:
    cluster = Cluster({1: {"one": NEW}}, {ONE: 1})
    assert await ids(cluster, [ONE], {ONE: OLD}) == {ONE: NEW}
    cluster = Cluster({1: [{"one": NEW}, {"one": OTHER}]}, {ONE: 1})
    assert await ids(cluster, [ONE], {ONE: OLD}) == {}


async def test_without_a_leader_a_first_id_has_to_be_told_by_two() -> None:
    cluster = Cluster({1: {"letters": OLD}, 2: {"letters": NEW}}, {})
    assert await ids(cluster, [LETTERS], {}) == {}
    cluster = Cluster({1: {"letters": NEW}, 2: {"letters": NEW}}, {})
    assert await ids(cluster, [LETTERS], {}) == {LETTERS: NEW}


@pytest.mark.parametrize(
    "error", [IncompatibleBrokerVersion("no"), NotImplementedError(), KafkaConnectionError()]
)
async def test_a_leader_that_does_not_tell_keeps_none_of_the_others_from_it(
    error: Exception,
) -> None:
    cluster = Cluster({1: error, 2: {"two": OTHER}}, {ONE: 1, TWO: 2})
    assert await ids(cluster, [ONE, TWO], {ONE: OLD}) == {TWO: OTHER}


async def test_nobody_is_asked_where_nobody_is_known() -> None:
    assert await ids(Cluster({}, {}), [ONE], {}) == {}
    assert await ids(Cluster({1: {}}, {}), [], {}) == {}
