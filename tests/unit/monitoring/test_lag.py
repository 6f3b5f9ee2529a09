"""Lag of a partition: as Kafka told it, and of an own one as this worker knows it since."""

from types import SimpleNamespace
from typing import cast

from faust.types import TP

from app.kafka.delivery.ledger import Ledger
from app.kafka.group_view import Reach
from app.monitoring.lag import Lags, PartitionLag
from app.monitoring.progress import PartitionVerdict, Progress, State, Verdict

FIRST, SECOND = TP("completed0", 0), TP("documents", 1)


def lags(partitions: dict[TP, PartitionVerdict], ledger: Ledger | None = None) -> Lags:
    verdict = Verdict(State.MOVING, None, partitions=partitions)
    return Lags(cast("Progress", SimpleNamespace(verdict=verdict)), ledger or Ledger())


def verdict_of(reach: Reach, *, mine: bool) -> PartitionVerdict:
    return PartitionVerdict(State.MOVING, reach, "host", mine)


def test_the_lag_of_a_worker_is_that_of_the_partitions_it_reads() -> None:
    own = verdict_of(Reach(0, 10, 4), mine=True)
    foreign = verdict_of(Reach(0, 10, 1), mine=False)
    found = lags({SECOND: foreign, FIRST: own})
    assert found.mine() == [PartitionLag("completed0", 0, 4, 10)]
    assert found.of(SECOND, foreign).lag == 9


def test_what_this_worker_has_read_since_kafka_was_asked_counts() -> None:
    ledger = Ledger()
    ledger.reset({FIRST: 12})
    found = lags({FIRST: verdict_of(Reach(0, 10, 4), mine=True)}, ledger)
    assert found.mine() == [PartitionLag("completed0", 0, 12, 12)]


def test_what_retention_deleted_is_no_lag() -> None:
    found = lags({FIRST: verdict_of(Reach(8, 10, 4), mine=True)})
    assert [lag.lag for lag in found.mine()] == [2]


def test_the_lag_is_not_known_while_kafka_does_not_say_where_a_partition_ends() -> None:
    found = lags({FIRST: verdict_of(Reach(None, None, 4), mine=True)})
    assert [lag.lag for lag in found.mine()] == [None]
