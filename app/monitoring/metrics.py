"""The worker's state in Prometheus' text format: every metric, in the order of the reference.

`docs/metrics.md` is made from this list (`make generated`).
"""

import platform

from app.monitoring.definitions import Counter, Distribution, Gauge, Metrics, Values, exposition
from app.monitoring.monitored import Monitored, not_ready, seconds_left
from app.monitoring.outcomes import Key, Outcome, Step
from app.monitoring.progress import State
from app.process.detached import lines_left_out
from app.version import VERSION
from models.reasons import RejectReason, SkipReason

ANSWERS = ("200", "201", "400", "401", "403", "404", "413", "429", "500", "503")
"""HTTP statuses that are exported as 0 from the start, like `FAILURES`, so that the first one
counts as an increase.
"""

FAILURES = ("connection", "timeout")

OUTCOMES = (
    Key(Step.ROUTE, Outcome.ROUTED),
    *(Key(Step.ROUTE, Outcome.SKIPPED, reason) for reason in SkipReason),
    *(Key(Step.ROUTE, Outcome.DEAD_LETTERED, reason) for reason in RejectReason),
    Key(Step.STORE, Outcome.STORED),
    Key(Step.STORE, Outcome.DUPLICATE, "guard"),
    Key(Step.STORE, Outcome.DUPLICATE, "completed by logs"),
    Key(Step.STORE, Outcome.DUPLICATE, "database"),
    *(Key(Step.STORE, Outcome.DEAD_LETTERED, reason) for reason in RejectReason),
)
"""Every outcome that a record can have."""


def render(worker: Monitored) -> bytes:
    """The current values of all metrics."""
    return exposition(METRICS, worker)


def _overlooked(worker: Monitored) -> int:
    return len({*worker.discovery.overlooked, *worker.discovery.elsewhere})


def _one(value: float | None) -> Values:
    """A metric without labels; absent while there is no value."""
    return () if value is None else (((), float(value)),)


def _records(worker: Monitored) -> Values:
    counts = worker.outcomes.counts
    for key in dict.fromkeys([*OUTCOMES, *counts]):
        yield (key.step, key.outcome, str(key.reason)), float(counts[key])


def _lost(worker: Monitored) -> Values:
    lost = worker.outcomes.lost
    for topic in sorted(_topics(worker) | set(lost)):
        yield (topic,), float(lost[topic])


def _shortened(worker: Monitored) -> Values:
    yield (), float(worker.outcomes.shortened)


def _topics(worker: Monitored) -> set[str]:
    return {tp.topic for tp in worker.progress.verdict.partitions}


def _lag(worker: Monitored) -> Values:
    for one in worker.lags.mine():
        if one.lag is not None:
            yield (one.topic, str(one.partition)), float(one.lag)


def _left(worker: Monitored) -> Values:
    for one in worker.lags.mine():
        seconds = seconds_left(worker, one)
        if seconds is not None:
            yield (one.topic, str(one.partition)), seconds


def _oldest(worker: Monitored) -> Values:
    """Reports 0 if nothing is unread, so that a maximum always has a value."""
    now, oldest = worker.progress.now(), worker.progress.oldest
    for tp, found in sorted(worker.progress.verdict.partitions.items()):
        if found.mine:
            at = oldest.get(tp)
            age = 0.0 if at is None else max(0.0, now - at / 1000)
            yield (tp.topic, str(tp.partition)), age


def _work(worker: Monitored) -> Values:
    states = [one.state for one in worker.progress.verdict.partitions.values() if one.mine]
    for state in State:
        yield (state,), float(states.count(state))


def _unread_by_anybody(worker: Monitored) -> Values:
    partitions = worker.progress.verdict.partitions.values()
    return _one(sum(one.holder is None for one in partitions))


def _held(worker: Monitored) -> Values:
    for topic in sorted(_topics(worker) | set(worker.breakers.topics())):
        yield (topic,), float(worker.breakers.holds(topic))


def _guard(worker: Monitored) -> Values:
    for number, count in worker.guard.remembered().items():
        yield (str(number),), float(count)


def _requests(worker: Monitored) -> Values:
    requests = worker.writer.stats.requests
    for status in dict.fromkeys([*ANSWERS, *FAILURES, *requests]):
        yield (status,), float(requests[status])


def _retries(worker: Monitored) -> Values:
    retries = worker.writer.stats.retries
    for cause in dict.fromkeys([*ANSWERS[2:], *FAILURES, *retries]):
        yield (cause,), float(retries[cause])


METRICS: Metrics[Monitored] = (
    Gauge(
        "persister_build_info",
        "Always 1; the versions are in the labels",
        ("version", "python"),
        lambda _: [((VERSION, platform.python_version()), 1.0)],
    ),
    Gauge(
        "persister_ready",
        "1 while work is progressing, as /health/ready reports it",
        read=lambda worker: _one(not_ready(worker) is None),
    ),
    Gauge(
        "persister_partitions",
        "Partitions that this worker reads, by state: moving, idle, waiting or stuck",
        ("work",),
        _work,
    ),
    Gauge(
        "persister_partitions_without_reader",
        "Partitions that no member of the group reads; the same on every worker",
        read=_unread_by_anybody,
    ),
    Gauge(
        "persister_topics_overlooked",
        "Topics like OpenWhisk's that nobody reads: those of the other log mode or, while no topic "
        "of OpenWhisk's is read, of another prefix",
        read=lambda worker: _one(_overlooked(worker)),
    ),
    Gauge(
        "persister_lag_records",
        "Unfinished records in this worker's partitions",
        ("topic", "partition"),
        _lag,
    ),
    Gauge(
        "persister_oldest_unfinished_age_seconds",
        "Age of the oldest unfinished record, by its timestamp in Kafka; 0 without lag",
        ("topic", "partition"),
        _oldest,
    ),
    Gauge(
        "persister_retention_seconds_left",
        "Seconds until Kafka may delete unread records; absent while nothing is unread",
        ("topic", "partition"),
        _left,
    ),
    Counter(
        "persister_records_consumed",
        "Records consumed, counted when their chunk is finished",
        ("step",),
        lambda worker: [((step,), float(worker.outcomes.consumed[step])) for step in Step],
    ),
    Counter(
        "persister_records",
        "Consumed records by outcome; the sum is persister_records_consumed_total",
        ("step", "outcome", "reason"),
        _records,
    ),
    Counter(
        "persister_records_lost_to_retention",
        "Records that Kafka deleted before they were read",
        ("topic",),
        _lost,
    ),
    Counter(
        "persister_dead_letters_shortened",
        "Dead letters with only the place, size and hash of a record that was too large to keep",
        (),
        _shortened,
    ),
    Distribution(
        "persister_step_latency_seconds",
        "Time from a record's timestamp in Kafka until it is finished; the records of a chunk all "
        "count with the timestamp of the first",
        ("step",),
        lambda worker: [((step,), found) for step, found in worker.latency.steps.items()],
    ),
    Distribution(
        "persister_activation_latency_seconds",
        "Time from the end of an activation until it is stored, sampled once per chunk",
        read=lambda worker: [((), worker.latency.whole)],
    ),
    Counter(
        "persister_namespace_activations",
        "Stored activations by status, of the namespaces in PERSISTER_METRICS_NAMESPACES",
        ("namespace", "status"),
        lambda worker: [
            ((name, status), float(count))
            for name, counts in worker.watched.chosen.activations.items()
            for status, count in counts.items()
        ],
    ),
    Counter(
        "persister_namespace_action_activations",
        "Stored activations by action; beyond 200 actions of a namespace, the rest as (others)",
        ("namespace", "action"),
        lambda worker: [
            ((name, action), float(count))
            for name, counts in worker.watched.chosen.actions.items()
            for action, count in counts.items()
        ],
    ),
    Counter(
        "persister_namespace_cold_starts",
        "Stored activations for which a container had to be initialized",
        ("namespace",),
        lambda worker: [
            ((name,), float(count)) for name, count in worker.watched.chosen.cold_starts.items()
        ],
    ),
    Distribution(
        "persister_namespace_init_seconds",
        "How long initializing the container took",
        ("namespace",),
        lambda worker: [((name,), found) for name, found in worker.watched.chosen.inits.items()],
    ),
    Distribution(
        "persister_namespace_wait_seconds",
        "Time from the request until the activation started",
        ("namespace",),
        lambda worker: [((name,), found) for name, found in worker.watched.chosen.waits.items()],
    ),
    Distribution(
        "persister_namespace_duration_seconds",
        "Time from the start of an activation to its end",
        ("namespace",),
        lambda worker: [
            ((name,), found) for name, found in worker.watched.chosen.durations.items()
        ],
    ),
    Gauge(
        "persister_in_flight_documents",
        "Documents read from the internal topic and not settled yet",
        read=lambda worker: _one(worker.storing_step.documents_in_flight),
    ),
    Gauge(
        "persister_in_flight_bytes",
        "Bytes of those documents",
        read=lambda worker: _one(worker.storing_step.bytes_in_flight),
    ),
    Gauge(
        "persister_breaker_open",
        "1 while the topic is paused because most of its records were rejected",
        ("topic",),
        _held,
    ),
    Gauge(
        "persister_guard_records",
        "Records that the guard remembers",
        ("partition",),
        _guard,
    ),
    Gauge(
        "persister_kafka_up",
        "1 while Kafka answers the worker's queries about progress",
        read=lambda worker: _one(worker.progress.kafka.away_since is None),
    ),
    Gauge(
        "persister_kafka_away_since_timestamp_seconds",
        "When Kafka stopped answering; 0 while it answers",
        read=lambda worker: _one(worker.progress.kafka.away_since or 0.0),
    ),
    Gauge(
        "persister_database_down",
        "1 while the database takes no documents",
        read=lambda worker: _one(worker.writer.availability.down),
    ),
    Gauge(
        "persister_documents_under_diagnosis",
        "Documents that fail while others are stored and are therefore tried alone",
        read=lambda worker: _one(worker.writer.diagnosis.parked),
    ),
    Gauge(
        "persister_store_breaker_open",
        "Reasons for which storing is paused, because too many documents would be set aside",
        read=lambda worker: _one(len(worker.storing_step.breaker.reasons())),
    ),
    Gauge(
        "persister_database_failing_since_timestamp_seconds",
        "When requests began to fail; 0 while they succeed",
        read=lambda worker: _one(worker.writer.availability.failing_since or 0.0),
    ),
    Gauge(
        "persister_database_requests_in_flight",
        "Bulk requests in flight",
        read=lambda worker: _one(worker.writer.in_flight),
    ),
    Gauge(
        "persister_database_requests_limit",
        "Bulk requests that may be in flight at the current pace",
        read=lambda worker: _one(worker.writer.limit.current),
    ),
    Gauge(
        "persister_database_documents_waiting",
        "Documents queued for a request",
        read=lambda worker: _one(worker.writer.waiting_documents),
    ),
    Counter(
        "persister_database_requests",
        "HTTP requests by status, or by failure if there was no response",
        ("status",),
        _requests,
    ),
    Counter(
        "persister_database_retries",
        "Attempts that had to be repeated, by status, failure, or error of a document",
        ("cause",),
        _retries,
    ),
    Distribution(
        "persister_database_request_duration_seconds",
        "Duration of HTTP requests, successful or not",
        read=lambda worker: [((), worker.writer.stats.durations)],
    ),
    Distribution(
        "persister_database_request_documents",
        "Documents per bulk request, repeated requests included",
        read=lambda worker: [((), worker.writer.stats.sizes)],
    ),
    Distribution(
        "persister_database_request_bytes",
        "Bytes per bulk request, repeated requests included",
        read=lambda worker: [((), worker.writer.stats.bytes)],
    ),
    Counter(
        "persister_database_documents_written",
        "Documents that the database acknowledged with a revision",
        read=lambda worker: _one(worker.writer.stats.documents_written),
    ),
    Counter(
        "persister_database_conflicts_read_back",
        "Documents that were compared with the stored one after a conflict",
        read=lambda worker: _one(worker.writer.stats.conflicts_read_back),
    ),
    Counter(
        "persister_log_lines_left_out",
        "Lines of the log that had no room, because whatever reads it did not take them",
        read=lambda _: _one(lines_left_out()),
    ),
)
"""Everything on `/metrics` except the process metrics, which the Prometheus client adds."""
