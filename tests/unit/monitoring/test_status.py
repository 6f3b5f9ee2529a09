"""Lag of a partition: as Kafka told it, and of an own one as this worker knows it since."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from app.kafka.delivery.ledger import Ledger
from app.kafka.group_view import Reach
from app.monitoring.progress import PartitionVerdict, State, Verdict
from app.monitoring.status import PartitionLag, lag_of, not_ready, partition_lags

FIRST, SECOND = TP("completed0", 0), TP("documents", 1)


def application(partitions: dict[TP, PartitionVerdict], *, stopping: bool = False) -> Any:
    verdict = Verdict(State.MOVING, None, partitions=partitions)
    return SimpleNamespace(
        ledger=Ledger(), progress=SimpleNamespace(verdict=verdict), should_stop=stopping
    )


def verdict_of(reach: Reach, *, mine: bool) -> PartitionVerdict:
    return PartitionVerdict(State.MOVING, reach, "host", mine)


def test_the_lag_of_a_worker_is_that_of_the_partitions_it_reads() -> None:
    own, foreign = Reach(0, 10, 4), Reach(0, 10, 1)
    app = application({SECOND: verdict_of(foreign, mine=False), FIRST: verdict_of(own, mine=True)})
    assert partition_lags(app) == [PartitionLag("completed0", 0, 4, 10)]
    assert lag_of(app, SECOND, app.progress.verdict.partitions[SECOND]).lag == 9


def test_what_this_worker_has_read_since_kafka_was_asked_counts() -> None:
    app = application({FIRST: verdict_of(Reach(0, 10, 4), mine=True)})
    app.ledger.reset({FIRST: 12})
    assert partition_lags(app) == [PartitionLag("completed0", 0, 12, 12)]


def test_what_retention_deleted_is_no_lag() -> None:
    app = application({FIRST: verdict_of(Reach(8, 10, 4), mine=True)})
    assert [lag.lag for lag in partition_lags(app)] == [2]


def test_the_lag_is_not_known_while_kafka_does_not_say_where_a_partition_ends() -> None:
    app = application({FIRST: verdict_of(Reach(None, None, 4), mine=True)})
    assert [lag.lag for lag in partition_lags(app)] == [None]


def test_a_worker_that_was_told_to_stop_is_not_ready_at_once() -> None:
    assert not_ready(application({}, stopping=True)) == "stopping"
    assert not_ready(application({})) is None
