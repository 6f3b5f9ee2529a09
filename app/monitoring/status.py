"""What the worker knows about itself, for `/status`, `/metrics` and `/health`."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faust.types import TP

from app.monitoring.progress import PartitionVerdict

if TYPE_CHECKING:
    from app.application import Persister


@dataclass(frozen=True)
class PartitionLag:
    """How far one assigned partition is behind.

    Args:
        committed: the offset up to which every record is safe; None before the first seek.
        end: the offset that the next record will get; None while Kafka does not say.
        start: the first offset that Kafka still has.
    """

    topic: str
    partition: int
    committed: int | None
    end: int | None
    start: int = 0

    @property
    def lag(self) -> int | None:
        """Records that are not finished."""
        if self.committed is None or self.end is None:
            return None
        return max(0, self.end - max(self.committed, self.start))


def partition_lags(app: "Persister") -> list[PartitionLag]:
    """Lag of every partition that this worker reads; nothing is asked of Kafka for it."""
    return [
        lag_of(app, tp, found)
        for tp, found in sorted(app.progress.verdict.partitions.items())
        if found.mine
    ]


def lag_of(app: "Persister", tp: TP, found: PartitionVerdict) -> PartitionLag:
    """Lag as Kafka told it, and of an own partition as this worker knows it since."""
    reach = found.reach
    ledger = app.ledger if found.mine else None
    committed = ledger.committed(tp) if ledger else None
    position = (ledger.position(tp) if ledger else None) or 0
    return PartitionLag(
        tp.topic,
        tp.partition,
        reach.committed if committed is None else committed,
        None if reach.end is None else max(reach.end, position),
        reach.start or 0,
    )


def seconds_left(app: "Persister", lag: PartitionLag) -> float | None:
    """Until Kafka may delete what is unread of a partition; None: nothing, or not to be told."""
    left = app.retention.seconds_left(TP(lag.topic, lag.partition))
    return left if lag.lag else None


def not_ready(app: "Persister") -> str | None:
    """Why the worker's work does not move, or None when it does."""
    return "stopping" if app.should_stop else app.progress.verdict.not_ready


def status(app: "Persister") -> dict[str, object]:
    """Everything, as JSON."""
    verdict = app.progress.verdict
    return {
        "app_id": app.conf.id,
        "ready": not_ready(app) is None,
        "not_ready": not_ready(app),
        "not_ready_since": verdict.since,
        "work": verdict.state,
        "topics": _topics(app),
        "lag": sum(lag.lag or 0 for lag in partition_lags(app)),
        "outcomes": app.outcomes.as_json(),
        "in_flight": {
            "documents": app.storing_step.documents_in_flight,
            "bytes": app.storing_step.bytes_in_flight,
        },
        "breaker": _breaker(app),
        "store_breaker": {
            reason: {"since": opened.since, "until": opened.until, "why": opened.why}
            for reason, opened in app.storing_step.breaker.reasons().items()
        },
        "guard": {"remembered": app.guard.remembered()},
        "kafka": _kafka(app),
        "database": _database(app),
    }


def _topics(app: "Persister") -> dict[str, dict[int, dict[str, object]]]:
    """Every partition that the group should read, whoever reads it."""
    topics: defaultdict[str, dict[int, dict[str, object]]] = defaultdict(dict)
    for tp, found in sorted(app.progress.verdict.partitions.items()):
        lag = lag_of(app, tp, found)
        topics[tp.topic][tp.partition] = {
            "committed": lag.committed,
            "end": lag.end,
            "lag": lag.lag,
            "deleted_in_seconds": seconds_left(app, lag),
            "holder": found.holder,
            "mine": found.mine,
            "work": found.state,
            "since": found.since,
            "why": found.why,
        }
    return dict(topics)


def _kafka(app: "Persister") -> dict[str, object]:
    kafka = app.progress.kafka
    return {
        "address": app.settings.kafka.url,
        "away_since": kafka.away_since,
        "last_error": kafka.last_error,
        "last_error_at": kafka.last_error_at,
        "group_refuses": app.discovery.refused,
        "unreadable_topics": app.discovery.unreadable,
    }


def _breaker(app: "Persister") -> dict[str, dict[str, object]]:
    """The topics that are held, or about to be tried again."""
    return {
        topic: {
            "since": opened.since,
            "until": opened.until,
            "held": app.breakers.holds(topic),
            "why": opened.why,
        }
        for topic, opened in app.breakers.topics().items()
        if opened
    }


def _database(app: "Persister") -> dict[str, object]:
    writer, availability = app.writer, app.writer.availability
    stats = writer.stats
    return {
        "address": app.database.address,
        "down": availability.down,
        "failing_since": availability.failing_since,
        "last_error": availability.last_error,
        "last_error_at": availability.last_error_at,
        "requests_in_flight": writer.in_flight,
        "requests_limit": writer.limit.current,
        "documents_under_diagnosis": writer.diagnosis.parked,
        "reading_down": writer.reading.down,
        "documents_waiting": writer.waiting_documents,
        "documents_written": stats.documents_written,
        "conflicts_read_back": stats.conflicts_read_back,
        "requests": dict(stats.requests),
        "retries": dict(stats.retries),
        "narrowing_requests": stats.narrowing_requests,
        "missing_design_documents": list(app.database.missing_design_documents),
    }
