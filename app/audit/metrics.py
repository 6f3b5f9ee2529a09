"""What a standing audit shows on `/metrics`; the reference is `docs/metrics.md`."""

import platform

from app.audit.tally import Tally
from app.audit.verdicts import Ending, Verdict
from app.monitoring.definitions import Counter, Gauge, Metrics, Values, exposition
from app.version import VERSION


def render(tally: Tally) -> bytes:
    """Everything, as it is now."""
    return exposition(METRICS, tally)


def _one(value: float | None) -> Values:
    return () if value is None else (((), float(value)),)


METRICS: Metrics[Tally] = (
    Gauge(
        "persister_audit_build_info",
        "1, with the versions as labels",
        ("version", "python"),
        lambda _: [((VERSION, platform.python_version()), 1.0)],
    ),
    Gauge(
        "persister_audit_ready",
        "1 while rounds can be made; 0 before the first one",
        read=lambda tally: _one(tally.last is not None and tally.last_error is None),
    ),
    Counter(
        "persister_audit_activations",
        "Activations judged for good, by how they have ended; together, all that finished",
        ("ending",),
        lambda tally: [((one,), float(tally.all.endings[one])) for one in Ending],
    ),
    Counter(
        "persister_audit_records",
        "Records of OpenWhisk's topics that were judged for good, by verdict",
        ("verdict",),
        lambda tally: [((one,), float(tally.all.verdicts[one])) for one in Verdict],
    ),
    Counter(
        "persister_audit_records_missed",
        "Records that Kafka deleted before an audit looked at them",
        (),
        lambda tally: _one(tally.all.missed),
    ),
    Counter(
        "persister_audit_rounds",
        "Rounds, by whether they could be made",
        ("result",),
        lambda tally: [
            (("made",), float(tally.rounds)),
            (("failed",), float(tally.failed_rounds)),
        ],
    ),
    Gauge(
        "persister_audit_last_round_timestamp_seconds",
        "When the last round ended that could be made; 0 before it",
        read=lambda tally: _one(tally.last.at if tally.last else 0.0),
    ),
    Gauge(
        "persister_audit_oldest_unchecked_timestamp_seconds",
        "Everything before was judged for good; the start of the process before the first round",
        read=lambda tally: _one(
            tally.started if (oldest := tally.oldest_unchecked()) is None else oldest
        ),
    ),
    Gauge(
        "persister_audit_records_lost_to_retention",
        "Records that Kafka has deleted and the worker has not read, as the last round saw it",
        read=lambda tally: _one(tally.last.lost if tally.last else 0),
    ),
)
"""All that a standing audit shows, beside what the Prometheus client tells of the process."""
