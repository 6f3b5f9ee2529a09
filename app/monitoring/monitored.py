"""The parts of the worker whose state `/status`, `/metrics` and `/health` show."""

from dataclasses import dataclass

from faust.types import TP
from mode import Service

from app.couchdb import BulkWriter, Database
from app.dead_letters import DeadLetters
from app.kafka.discovery import Discovery
from app.monitoring.activity import Watched
from app.monitoring.group.roster import Roster
from app.monitoring.history import History
from app.monitoring.lag import Lags, PartitionLag
from app.monitoring.latency import Latency
from app.monitoring.outcomes import Outcomes
from app.monitoring.progress import Progress
from app.monitoring.retention import Retention
from app.process.recent import RecentWarnings
from app.routing.breaker import Breakers
from app.settings import KafkaSettings, Settings
from app.storing.guard import Guard
from app.storing.guard.table import GuardTable
from app.storing.step import StoringStep


@dataclass(frozen=True)
class Monitored:
    """The parts of the worker that the pages read.

    Args:
        service: the worker as a service, which knows whether it is stopping.
        kafka: the settings for Kafka.
        settings: all settings.
        roster: the workers of the group.
        history: the last hour.
        warnings: the latest warnings in its log.
    """

    service: Service
    kafka: KafkaSettings
    settings: Settings
    progress: Progress
    lags: Lags
    discovery: Discovery
    retention: Retention
    outcomes: Outcomes
    latency: Latency
    watched: Watched
    breakers: Breakers
    guard: Guard
    guard_table: GuardTable
    storing_step: StoringStep
    writer: BulkWriter
    database: Database
    dead_letters: DeadLetters
    roster: Roster
    history: History
    warnings: RecentWarnings


def seconds_left(worker: Monitored, lag: PartitionLag) -> float | None:
    """Seconds until Kafka may delete unread records; None if none are, or if it is unknown."""
    left = worker.retention.seconds_left(TP(lag.topic, lag.partition))
    return left if lag.lag else None


def not_ready(worker: Monitored) -> str | None:
    """Why the worker makes no progress, or None if it does."""
    return "stopping" if worker.service.should_stop else worker.progress.verdict.not_ready
