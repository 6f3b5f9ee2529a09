"""What the gateway counts, for `/_gateway/metrics`; the reference is `docs/metrics.md`."""

import platform
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from app.kafka.byte_budget import ByteBudget
from app.process.connections import Closed
from app.version import VERSION
from openwhisk.gateway.fallback import Switch
from openwhisk.gateway.log_mode import LogModeWatch
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.shares import Shares

disable_created_metrics()  # type: ignore[no-untyped-call]

_FORWARDED = ("not-taken", "too-large")
_REFUSED = ("not-stored", "credentials", "bytes-in-flight")


class Metrics:
    """One registry per gateway.

    Args:
        bodies: bytes of bodies in flight.
        records: bytes of records in flight.
        recent: what was taken lately.
        switch: between Kafka and CouchDB.
        log_mode: whether it fits.
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
            "1, with the versions as labels",
            ["version", "python"],
            registry=self.registry,
        )
        build.labels(VERSION, platform.python_version()).set(1)
        self.requests = Counter(
            "gateway_requests",
            "Requests by kind (document, bulk: writes that may be taken; proxied) and status.",
            ["kind", "status"],
            registry=self.registry,
        )
        self.records = Counter(
            "gateway_records", "Records that Kafka acknowledged.", registry=self.registry
        )
        self.record_bytes = Counter(
            "gateway_record_bytes", "Bytes of those records.", registry=self.registry
        )
        self.forwarded = Counter(
            "gateway_forwarded_documents",
            "Documents of writes that went to CouchDB itself.",
            ["reason"],
            registry=self.registry,
        )
        self.direct_records = Counter(
            "gateway_direct_records",
            "Records that were written to CouchDB because Kafka was away.",
            registry=self.registry,
        )
        self.early_reads = Counter(
            "gateway_early_reads",
            "Reads that were answered before the record was stored.",
            registry=self.registry,
        )
        self.refused = Counter(
            "gateway_refused_writes",
            "Writes that were not stored, and whose connection was closed, by cause.",
            ["cause"],
            registry=self.registry,
        )
        self.closed = Counter(
            "gateway_closed_connections",
            "Connections of clients that were refused or closed, by cause.",
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
            "Bytes of bodies being handled, and of records not acknowledged yet.",
            ["of"],
            registry=self.registry,
        )
        in_flight.labels("bodies").set_function(lambda: bodies.in_flight)
        in_flight.labels("records").set_function(lambda: records.in_flight)
        # The first one must be an increase.
        for counter, values in (
            (self.forwarded, _FORWARDED),
            (self.refused, _REFUSED),
            (self.closed, Closed),
        ):
            for value in values:
                counter.labels(value)
        self._gauge(
            "gateway_recent_bytes", "Bytes of documents kept for early reads.", lambda: recent.size
        )
        self._gauge(
            "gateway_kafka_away",
            "1 while Kafka does not acknowledge in time.",
            lambda: switch.away_since is not None,
        )
        self._gauge(
            "gateway_log_mode_mismatch",
            "1 when records show that PERSISTER_LOG_MODE does not fit this OpenWhisk.",
            lambda: not log_mode.fits,
        )

    def _gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        Gauge(name, about, registry=self.registry).set_function(value)
