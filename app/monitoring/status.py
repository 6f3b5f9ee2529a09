"""What the worker knows about itself, for `/status`, `/metrics` and `/health`."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from faust.types import TP


@dataclass(frozen=True)
class PartitionLag:
    """How far one assigned partition is behind.

    Args:
        committed: the offset up to which every record is safe; None before the first seek.
        end: the offset that the next record will get; None while Kafka does not say.
    """

    topic: str
    partition: int
    committed: int | None
    end: int | None

    @property
    def lag(self) -> int | None:
        """Records that are not finished."""
        if self.committed is None or self.end is None:
            return None
        return max(0, self.end - self.committed)


END_OFFSETS_SECONDS = 5.0
"""How long to wait for Kafka's end offsets; lag is then unknown, not the page unanswered."""


async def partition_lags(app: Any) -> list[PartitionLag]:
    """Lag of every assigned partition that is delivered in chunks."""
    consumer = app.consumer
    partitions = sorted(tp for tp in assigned(app) if consumer.delivers_chunks(tp))
    ends: dict[TP, int] = {}
    if partitions:
        try:
            async with asyncio.timeout(END_OFFSETS_SECONDS):
                ends = await consumer.highwaters(*partitions)
        except TimeoutError:
            ends = {}
    return [
        PartitionLag(tp.topic, tp.partition, consumer.ledger.committed(tp), ends.get(tp))
        for tp in partitions
    ]


def assigned(app: Any) -> set[TP]:
    """The assigned partitions; none while the consumer is not connected, or not any more."""
    thread = getattr(app.consumer, "_thread", None)
    # Faust raises otherwise.
    if thread is None or thread._consumer is None or thread.thread_loop.is_closed():  # noqa: SLF001
        return set()
    return set(app.consumer.assignment())


def seconds_left(app: Any, lag: PartitionLag) -> float | None:
    """Until Kafka may delete what is unread of a partition; None: nothing, or not to be told."""
    left: float | None = app.retention.seconds_left(TP(lag.topic, lag.partition))
    return left if lag.lag else None


def not_ready(app: Any) -> str | None:
    """Why the worker does not consume, or None when it does."""
    if app.should_stop:
        return "stopping"
    if not app.tables.recovery.completed.is_set():
        return "starting: waiting for Kafka, a first assignment and the guard's table"
    if app.rebalancing:
        return "rebalancing"
    return None


async def status(app: Any) -> dict[str, object]:
    """Everything, as JSON."""
    lags = await partition_lags(app)
    return {
        "app_id": app.conf.id,
        "ready": not_ready(app) is None,
        "not_ready": not_ready(app),
        "topics": _topics(app, lags),
        "lag": sum(lag.lag or 0 for lag in lags),
        "outcomes": app.outcomes.as_json(),
        "in_flight": {
            "documents": app.storage.documents_in_flight,
            "bytes": app.storage.bytes_in_flight,
        },
        "breaker": _breaker(app),
        "guard": {"remembered": app.guard.remembered()},
        "database": _database(app),
    }


def _topics(app: Any, lags: list[PartitionLag]) -> dict[str, dict[int, dict[str, float | None]]]:
    topics: defaultdict[str, dict[int, dict[str, float | None]]] = defaultdict(dict)
    for lag in lags:
        topics[lag.topic][lag.partition] = {
            "committed": lag.committed,
            "end": lag.end,
            "lag": lag.lag,
            "deleted_in_seconds": seconds_left(app, lag),
        }
    return dict(topics)


def _breaker(app: Any) -> dict[str, dict[str, object]]:
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


def _database(app: Any) -> dict[str, object]:
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
        "documents_waiting": writer.waiting_documents,
        "documents_written": stats.documents_written,
        "conflicts_read_back": stats.conflicts_read_back,
        "requests": dict(stats.requests),
        "retries": dict(stats.retries),
        "narrowing_requests": stats.narrowing_requests,
        "missing_design_documents": list(app.database.missing_design_documents),
    }
