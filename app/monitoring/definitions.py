"""Defines metrics: name, meaning, and where the values come from.

Each process has a list of its metrics (`app.monitoring.metrics`, `app.audit.metrics`), from which
both its `/metrics` and the reference in `docs/metrics.md` are made.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app.monitoring.histogram import Histogram

S = TypeVar("S")
"""The source that values are read from, such as the worker."""

Labels = tuple[str, ...]
Values = Iterable[tuple[Labels, float]]
Histograms = Iterable[tuple[Labels, Histogram]]


@dataclass(frozen=True)
class _Defined:
    """A metric: its name, its meaning, and where its values come from."""

    name: str
    text: str
    labels: Labels = ()

    @property
    def shown(self) -> str:
        """The name that a query uses, without the suffixes of a histogram."""
        return self.name


@dataclass(frozen=True)
class Gauge(_Defined, Generic[S]):
    """A value that goes up and down."""

    read: Callable[[S], Values] = lambda _: ()
    kind = "gauge"

    def family(self, source: S) -> Metric:
        """The metric with its current values."""
        family = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in self.read(source):
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True)
class Counter(_Defined, Generic[S]):
    """A count since the start of the process; `_total` is added to its name."""

    read: Callable[[S], Values] = lambda _: ()
    kind = "counter"

    @property
    def shown(self) -> str:
        """The name that a query uses."""
        return f"{self.name}_total"

    def family(self, source: S) -> Metric:
        """The metric with its current values."""
        family = CounterMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in self.read(source):
            family.add_metric(labels, value)
        return family


@dataclass(frozen=True)
class Distribution(_Defined, Generic[S]):
    """A histogram."""

    read: Callable[[S], Histograms] = lambda _: ()
    kind = "histogram"

    def family(self, source: S) -> Metric:
        """The metric with its current values."""
        family = HistogramMetricFamily(self.name, self.text, labels=self.labels)
        for labels, histogram in self.read(source):
            family.add_metric(labels, list(histogram.buckets()), histogram.total)
        return family


Metrics = tuple[Gauge[S] | Counter[S] | Distribution[S], ...]


def exposition(metrics: Metrics[S], source: S) -> bytes:
    """Current values of metrics, with the Prometheus client's metrics of the process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(metrics, source))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Snapshot(Collector, Generic[S]):
    def __init__(self, metrics: Metrics[S], source: S) -> None:
        self._metrics = metrics
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            yield metric.family(self._source)
