"""The worker's state in Prometheus' text format. Every metric is named in this file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.monitoring.status import PartitionLag, not_ready, partition_lags, seconds_left

if TYPE_CHECKING:
    from app.application import Persister


def render(app: "Persister") -> bytes:
    """Everything, as it is now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(app, partition_lags(app)))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, app: "Persister", lags: list[PartitionLag]) -> None:
        self._app = app
        self._lags = lags

    def collect(self) -> Iterator[Metric]:
        yield from self._records()
        yield from self._delivery()
        yield from self._database()

    def _records(self) -> Iterator[Metric]:
        outcomes = self._app.outcomes
        consumed = CounterMetricFamily(
            "persister_records_consumed", "Records of finished chunks", labels=["step"]
        )
        for step, count in outcomes.consumed.items():
            consumed.add_metric([step], count)
        yield consumed
        ended = CounterMetricFamily(
            "persister_records",
            "What became of consumed records; sums up to persister_records_consumed",
            labels=["step", "outcome", "reason"],
        )
        for key, count in outcomes.counts.items():
            ended.add_metric([key.step, key.outcome, str(key.reason)], count)
        yield ended
        lost = CounterMetricFamily(
            "persister_records_lost_to_retention",
            "Records that Kafka deleted before they were read",
            labels=["topic"],
        )
        for topic, count in outcomes.lost.items():
            lost.add_metric([topic], count)
        yield lost
        shortened = CounterMetricFamily(
            "persister_dead_letters_shortened",
            "Dead letters without the record, which did not fit into the dead-letter topic",
        )
        shortened.add_metric([], outcomes.shortened)
        yield shortened

    def _delivery(self) -> Iterator[Metric]:
        app = self._app
        yield _gauge("persister_ready", "1 while the worker consumes", not_ready(app) is None)
        lag = GaugeMetricFamily(
            "persister_lag_records", "Records not finished yet", labels=["topic", "partition"]
        )
        for partition in self._lags:
            if partition.lag is not None:
                lag.add_metric([partition.topic, str(partition.partition)], partition.lag)
        yield lag
        left = GaugeMetricFamily(
            "persister_retention_seconds_left",
            "Until Kafka may delete unread records; none while nothing is unread",
            labels=["topic", "partition"],
        )
        for partition in self._lags:
            seconds = seconds_left(app, partition)
            if seconds is not None:
                left.add_metric([partition.topic, str(partition.partition)], seconds)
        yield left
        yield _gauge(
            "persister_in_flight_documents",
            "Documents read from the internal topic and not settled",
            app.storage.documents_in_flight,
        )
        yield _gauge("persister_in_flight_bytes", "Their bytes", app.storage.bytes_in_flight)
        held = GaugeMetricFamily(
            "persister_breaker_open",
            "1 while nothing of the topic is fetched, since nearly everything was rejected",
            labels=["topic"],
        )
        for topic in app.breakers.topics():
            held.add_metric([topic], float(app.breakers.holds(topic)))
        yield held
        remembered = GaugeMetricFamily(
            "persister_guard_records", "Records that the guard remembers", labels=["partition"]
        )
        for number, count in app.guard.remembered().items():
            remembered.add_metric([str(number)], count)
        yield remembered

    def _database(self) -> Iterator[Metric]:
        writer = self._app.writer
        stats = writer.stats
        yield _gauge(
            "persister_database_down", "1 while it takes no documents", writer.availability.down
        )
        yield _gauge("persister_database_requests_in_flight", "Bulk requests", writer.in_flight)
        yield _gauge(
            "persister_database_requests_limit",
            "Bulk requests at a time that the pace allows now",
            writer.limit.current,
        )
        yield _gauge(
            "persister_database_documents_waiting",
            "Documents that no request has taken yet",
            writer.waiting_documents,
        )
        requests = CounterMetricFamily(
            "persister_database_requests", "HTTP requests by status or failure", labels=["status"]
        )
        for status, count in stats.requests.items():
            requests.add_metric([status], count)
        yield requests
        retries = CounterMetricFamily(
            "persister_database_retries", "Attempts that had to be repeated", labels=["cause"]
        )
        for cause, count in stats.retries.items():
            retries.add_metric([cause], count)
        yield retries
        yield _counter(
            "persister_database_request_seconds",
            "Time that answered requests took",
            stats.request_seconds,
        )
        yield _counter(
            "persister_database_documents_written",
            "Documents acknowledged with a revision",
            stats.documents_written,
        )
        yield _counter(
            "persister_database_conflicts_read_back",
            "Documents compared with the stored one",
            stats.conflicts_read_back,
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
