"""What the gateway counts, for `/_gateway/metrics`; the reference is `docs/metrics.md`."""

import platform
from collections.abc import Callable
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from app.kafka.byte_budget import ByteBudget
from app.process.connections import Closed, Connections
from app.process.detached import lines_left_out
from app.version import VERSION
from openwhisk.gateway.answers import NO_ANSWER
from openwhisk.gateway.fallback import Switch
from openwhisk.gateway.log_mode import LogModeWatch
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.shares import Shares

disable_created_metrics()  # type: ignore[no-untyped-call]

STATUSES = (200, 201, 400, 401, 403, 404, 409, 413, 429, NO_ANSWER, 500, 502, 503)
"""HTTP statuses that are exported at 0 from the start, so that the first one is an increase."""


class Kind(StrEnum):
    """The kind of a request."""

    DOCUMENT = "document"
    BULK = "bulk"
    PROXIED = "proxied"


class Forwarded(StrEnum):
    """Why a document of a write went to CouchDB itself."""

    NOT_TAKEN = "not-taken"
    TOO_LARGE = "too-large"


class Unanswered(StrEnum):
    """Why a write was not answered."""

    CREDENTIALS = "credentials"
    ROOM = "bytes-in-flight"
    BODY = "body-incomplete"
    NOT_STORED = "not-stored"
    NOT_STORED_YET = "not-stored-yet"


class _Log(Collector):
    """What is counted of the log, which is the process's."""

    def describe(self) -> list[CounterMetricFamily]:
        """The metric, without its value."""
        text = "Lines of the log that had no room, because whatever reads it did not take them."
        return [CounterMetricFamily("gateway_log_lines_left_out", text)]

    def collect(self) -> list[CounterMetricFamily]:
        """The metric."""
        (lines,) = self.describe()
        lines.add_metric([], lines_left_out())
        return [lines]


class Metrics:
    """The metrics of a gateway, in a registry of its own.

    Args:
        bodies: the memory of bodies in flight.
        records: the budget of records in flight.
        recent: recently accepted records.
        switch: decides between Kafka and CouchDB.
        log_mode: tells whether the log mode fits.
    """

    def __init__(
        self,
        bodies: Shares,
        records: ByteBudget,
        recent: Recent,
        switch: Switch,
        log_mode: LogModeWatch,
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Gauge(
            "gateway_build_info",
            "Always 1; the versions are in the labels",
            ["version", "python"],
            registry=self.registry,
        )
        build.labels(VERSION, platform.python_version()).set(1)
        self.requests = Counter(
            "gateway_requests",
            "Requests by kind and status. Kinds: document and bulk (writes that the gateway may "
            "take) and proxied. Status 499: the connection was closed without an answer.",
            ["kind", "status"],
            registry=self.registry,
        )
        self.records = Counter(
            "gateway_records", "Records that Kafka acknowledged.", registry=self.registry
        )
        self.record_bytes = Counter(
            "gateway_record_bytes",
            "Bytes of the records that Kafka acknowledged.",
            registry=self.registry,
        )
        self.forwarded = Counter(
            "gateway_forwarded_documents",
            "Documents of writes that were passed on to CouchDB, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.direct_records = Counter(
            "gateway_direct_records",
            "Records written to CouchDB directly because Kafka was away.",
            registry=self.registry,
        )
        self.early_reads = Counter(
            "gateway_early_reads",
            "Reads answered from memory, before the record was stored.",
            registry=self.registry,
        )
        self.refused = Counter(
            "gateway_refused_writes",
            "Writes that were not stored, by cause; their connection was closed without an answer.",
            ["cause"],
            registry=self.registry,
        )
        self.closed = Counter(
            "gateway_closed_connections",
            "Client connections that the gateway refused or closed, by cause.",
            ["cause"],
            registry=self.registry,
        )
        self.publish_seconds = Histogram(
            "gateway_publish_seconds",
            "Seconds until Kafka acknowledged all records of a request.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )
        in_flight = Gauge(
            "gateway_bytes_in_flight",
            "Bytes of request bodies being handled, and of records not yet acknowledged by Kafka.",
            ["of"],
            registry=self.registry,
        )
        in_flight.labels("bodies").set_function(lambda: bodies.in_flight)
        in_flight.labels("records").set_function(lambda: records.in_flight)
        self._gauge(
            "gateway_recent_bytes",
            "Bytes of documents kept in memory for early reads.",
            lambda: recent.size,
        )
        self._gauge(
            "gateway_kafka_away",
            "1 while Kafka does not acknowledge in time.",
            lambda: switch.away_since is not None,
        )
        self._gauge(
            "gateway_log_mode_mismatch",
            "1 if the records show that PERSISTER_LOG_MODE does not fit this OpenWhisk.",
            lambda: not log_mode.fits,
        )
        self.connections: Connections | None = None
        """The client connections; set once the server exists."""
        connections = Gauge(
            "gateway_connections",
            "Client connections: open, or waiting unread for a slot.",
            ["state"],
            registry=self.registry,
        )
        connections.labels("open").set_function(lambda: len(self.connections or ()))
        connections.labels("waiting").set_function(
            lambda: self.connections.waiting if self.connections else 0
        )
        self._gauge(
            "gateway_connections_limit",
            "Maximum of open client connections.",
            lambda: self.connections.limit if self.connections else 0,
        )
        self.registry.register(_Log())
        for kind in Kind:
            for status in STATUSES:
                self.requests.labels(kind, status)
        for counter, causes in (
            (self.forwarded, Forwarded),
            (self.refused, Unanswered),
            (self.closed, Closed),
        ):
            for cause in causes:
                counter.labels(cause)

    def _gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        Gauge(name, about, registry=self.registry).set_function(value)
