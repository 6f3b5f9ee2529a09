"""Gathers the state that the page reports on; waits for nothing."""

from collections.abc import Mapping

from faust.types import TP

from app.kafka.patches.refused_logins import logins
from app.kafka.topics import TopicNames
from app.monitoring.group.snapshot import Unread
from app.monitoring.monitored import Monitored, not_ready, seconds_left
from app.monitoring.page.trouble import Condition, Database, Held, Kafka, Partition


def condition_of(worker: Monitored) -> Condition:
    """The current condition of the worker and its group."""
    verdict, now = worker.progress.verdict, worker.progress.now()
    lately = worker.history.lately()
    names = TopicNames(worker.kafka.topic_prefix)
    return Condition(
        now=now,
        stopping=worker.service.should_stop,
        not_ready=not_ready(worker) or "",
        since=verdict.since,
        stuck_after=worker.settings.worker.stuck_after,
        kafka=_kafka(worker),
        database=_database(worker),
        partitions=_partitions(worker, now),
        held={
            topic: Held(opened.since, opened.until, opened.why)
            for topic, opened in worker.breakers.topics().items()
            if opened and worker.breakers.holds(topic)
        },
        store_held={
            reason: Held(opened.since, opened.until, opened.why)
            for reason, opened in worker.storing_step.breaker.reasons().items()
        },
        low=worker.retention.low,
        workers=worker.roster.workers(),
        unheard=worker.roster.trouble,
        forgetful=worker.guard_table.trouble,
        setting_aside=lately.dead_letters if lately else 0.0,
        internal=names.documents,
        exchange=names.workers,
    )


def _kafka(worker: Monitored) -> Kafka:
    kafka = worker.progress.kafka
    return Kafka(
        address=worker.kafka.url,
        away_since=kafka.away_since,
        error=kafka.last_error or "",
        login_refused=logins.refused is not None,
        refuses=worker.discovery.refused or "",
        unreadable=worker.discovery.unreadable,
        overlooked=worker.discovery.overlooked,
        elsewhere=worker.discovery.elsewhere,
        advice_elsewhere=worker.discovery.advice_elsewhere,
    )


def _database(worker: Monitored) -> Database:
    writer, availability = worker.writer, worker.writer.availability
    return Database(
        address=worker.database.address,
        failing_since=availability.failing_since,
        down=availability.down,
        error=availability.last_error or "",
        advice=availability.advice or "",
        reading=(writer.reading.last_error or "") if writer.reading.down else "",
        diagnosis=writer.diagnosis.parked,
        missing=worker.database.missing_design_documents,
        requests=writer.in_flight,
        limit=writer.limit.current,
        most=writer.limit.maximum,
        waiting=writer.waiting_documents,
        waits=writer.gate.waits,
    )


def _partitions(worker: Monitored, now: float) -> list[Partition]:
    names = worker.roster.by_member(worker.progress.member)
    unread = _unread(worker)
    found = []
    for tp, verdict in sorted(worker.progress.verdict.partitions.items()):
        lag = worker.lags.of(tp, verdict)
        told = unread.get(tp)
        oldest, kept = (told.oldest, told.kept) if told and lag.lag else (None, None)
        if verdict.mine and lag.lag:
            millis, left = worker.progress.oldest.get(tp), seconds_left(worker, lag)
            oldest = None if millis is None else millis / 1000
            kept = None if left is None else now + left
        found.append(
            Partition(
                topic=tp.topic,
                number=tp.partition,
                state=verdict.state,
                lag=lag.lag,
                worker=names.get(verdict.member) or verdict.holder or "",
                mine=verdict.mine,
                since=verdict.since,
                why=verdict.why,
                oldest=oldest,
                kept=kept,
            )
        )
    return found


def _unread(worker: Monitored) -> Mapping[TP, Unread]:
    """What the other workers report about the partitions that they read."""
    return {
        TP(unread.topic, unread.partition): unread
        for one in worker.roster.workers()
        if not one.own
        for unread in one.snapshot.unread
    }
