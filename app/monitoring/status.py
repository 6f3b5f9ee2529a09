"""The worker's state, for `/status`, `/metrics` and `/health`."""

from collections import defaultdict

import msgspec

from app.monitoring.monitored import Monitored, not_ready, seconds_left
from app.monitoring.page.condition import condition_of
from app.monitoring.page.trouble import summary
from app.version import VERSION
from models.instants import iso


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else iso(int(seconds * 1000))


def status(worker: Monitored) -> dict[str, object]:
    """The whole state as JSON; times in ISO 8601, durations in seconds."""
    verdict = worker.progress.verdict
    return {
        "version": VERSION,
        "app_id": worker.kafka.app_id,
        "ready": not_ready(worker) is None,
        "not_ready": not_ready(worker),
        "not_ready_since": _time(verdict.since),
        "summary": _summary(worker),
        "work": verdict.state,
        "topics": _topics(worker),
        "lag": sum(lag.lag or 0 for lag in worker.lags.mine()),
        "outcomes": worker.outcomes.as_json(),
        "in_flight": {
            "documents": worker.storing_step.documents_in_flight,
            "bytes": worker.storing_step.bytes_in_flight,
        },
        "breaker": _breaker(worker),
        "store_breaker": {
            reason: {"since": _time(opened.since), "until": _time(opened.until), "why": opened.why}
            for reason, opened in worker.storing_step.breaker.reasons().items()
        },
        "activity": activity.as_json() if (activity := worker.watched.activity) else None,
        "guard": {
            "remembered": worker.guard.remembered(),
            "not_written": worker.guard_table.trouble or None,
        },
        "kafka": _kafka(worker),
        "database": _database(worker),
        "workers": _workers(worker),
        "workers_not_heard": worker.roster.trouble or None,
    }


def _summary(worker: Monitored) -> dict[str, object]:
    """What the status page says first: whether all is well, and if not, what to do."""
    told = summary(condition_of(worker))
    return {
        "level": told.level,
        "headline": told.headline,
        "text": told.text,
        "findings": [msgspec.to_builtins(finding) for finding in told.findings],
    }


def _workers(worker: Monitored) -> dict[str, dict[str, object]]:
    """Every worker of the group, as it last reported."""
    return {
        one.snapshot.worker: {
            "own": one.own,
            "missing": one.missing,
            "heard_seconds_ago": round(one.age, 1),
            "ready": one.snapshot.ready,
            "not_ready": one.snapshot.why or None,
            "version": one.snapshot.version,
            "started": _time(one.snapshot.started),
            "counts": msgspec.to_builtins(one.snapshot.counts),
            "per_second": msgspec.to_builtins(one.snapshot.rates),
        }
        for one in worker.roster.workers()
    }


def _topics(worker: Monitored) -> dict[str, dict[int, dict[str, object]]]:
    """Every partition that the group should read, whichever worker reads it."""
    topics: defaultdict[str, dict[int, dict[str, object]]] = defaultdict(dict)
    members = worker.roster.by_member(worker.progress.member)
    for tp, found in sorted(worker.progress.verdict.partitions.items()):
        lag = worker.lags.of(tp, found)
        topics[tp.topic][tp.partition] = {
            "committed": lag.committed,
            "end": lag.end,
            "lag": lag.lag,
            "deleted_in_seconds": seconds_left(worker, lag),
            "holder": found.holder,
            "worker": members.get(found.member),
            "mine": found.mine,
            "work": found.state,
            "since": _time(found.since),
            "why": found.why,
        }
    return dict(topics)


def _kafka(worker: Monitored) -> dict[str, object]:
    kafka = worker.progress.kafka
    return {
        "address": worker.kafka.url,
        "away_since": _time(kafka.away_since),
        "last_error": kafka.last_error,
        "last_error_at": _time(kafka.last_error_at),
        "group_refuses": worker.discovery.refused,
        "unreadable_topics": worker.discovery.unreadable,
    }


def _breaker(worker: Monitored) -> dict[str, dict[str, object]]:
    """The topics that are held or about to be tried again."""
    return {
        topic: {
            "since": _time(opened.since),
            "until": _time(opened.until),
            "held": worker.breakers.holds(topic),
            "why": opened.why,
        }
        for topic, opened in worker.breakers.topics().items()
        if opened
    }


def _database(worker: Monitored) -> dict[str, object]:
    writer, availability = worker.writer, worker.writer.availability
    stats = writer.stats
    return {
        "address": worker.database.address,
        "down": availability.down,
        "failing_since": _time(availability.failing_since),
        "last_error": availability.last_error,
        "last_error_at": _time(availability.last_error_at),
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
        "missing_design_documents": list(worker.database.missing_design_documents),
    }
