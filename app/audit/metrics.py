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
        "Always 1; the versions are in the labels",
        ("version", "python"),
        lambda _: [((VERSION, platform.python_version()), 1.0)],
    ),
    Gauge(
        "persister_audit_ready",
        "1 while rounds succeed; 0 before the first one has",
        read=lambda tally: _one(tally.last is not None and tally.last_error is None),
    ),
    Counter(
        "persister_audit_activations",
        "Finished activations by how they ended, each counted once, when the verdict is final",
        ("ending",),
        lambda tally: [((one,), float(tally.all.endings[one])) for one in Ending],
    ),
    Counter(
        "persister_audit_records",
        "Records of OpenWhisk's topics by verdict, each counted once, when it is final",
        ("verdict",),
        lambda tally: [((one,), float(tally.all.verdicts[one])) for one in Verdict],
    ),
    Counter(
        "persister_audit_records_missed",
        "Records that Kafka deleted before an audit checked them",
        (),
        lambda tally: _one(tally.all.missed),
    ),
    Counter(
        "persister_audit_rounds",
        "Rounds by result: made or failed",
        ("result",),
        lambda tally: [
            (("made",), float(tally.rounds)),
            (("failed",), float(tally.failed_rounds)),
        ],
    ),
    Gauge(
        "persister_audit_last_round_timestamp_seconds",
        "When the last successful round ended; 0 before the first",
        read=lambda tally: _one(tally.last.at if tally.last else 0.0),
    ),
    Gauge(
        "persister_audit_oldest_unchecked_timestamp_seconds",
        "Records older than this have a final verdict; before the first round, the start of the "
        "process",
        read=lambda tally: _one(
            tally.started if (oldest := tally.oldest_unchecked()) is None else oldest
        ),
    ),
    Gauge(
        "persister_audit_records_lost_to_retention",
        "Records that Kafka deleted before the worker read them, as of the last round",
        read=lambda tally: _one(tally.last.lost if tally.last else 0),
    ),
)
"""Everything that a standing audit exports but the process metrics, which the Prometheus client
adds."""
