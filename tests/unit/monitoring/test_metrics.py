"""The metrics: names by Prometheus' rules, each value there at zero, and the reference page."""

import re
from collections import Counter as Counts
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from app.couchdb.stats import WriterStats
from app.kafka.delivery import Chunk
from app.kafka.delivery.ledger import Ledger
from app.kafka.group_view import Reach
from app.kafka.untimed import Untimed
from app.monitoring.activity import Watched
from app.monitoring.definitions import Counter, Distribution
from app.monitoring.histogram import Histogram
from app.monitoring.lag import Lags
from app.monitoring.latency import Latency
from app.monitoring.metrics import METRICS, render
from app.monitoring.outcomes import Outcomes, Step
from app.monitoring.progress import PartitionVerdict, Progress, State, Verdict
from tests.promtool import needs_promtool, promtool

DOCUMENTS = TP("documents", 0)
NOW = 1_700_000_000.0


def worker() -> Any:
    """A worker that has done nothing yet and reads one partition."""
    partitions = {DOCUMENTS: PartitionVerdict(State.IDLE, Reach(0, 10, 8), "host", mine=True)}
    progress = SimpleNamespace(
        verdict=Verdict(State.IDLE, None, partitions=partitions),
        kafka=SimpleNamespace(away_since=None),
        oldest={DOCUMENTS: int((NOW - 30) * 1000)},
        now=lambda: NOW,
    )
    writer = SimpleNamespace(
        stats=WriterStats(),
        availability=SimpleNamespace(down=False, failing_since=None),
        limit=SimpleNamespace(current=1),
        in_flight=0,
        waiting_documents=0,
        diagnosis=SimpleNamespace(parked=0),
    )
    return SimpleNamespace(
        service=SimpleNamespace(should_stop=False),
        progress=progress,
        discovery=SimpleNamespace(elsewhere=(), overlooked={}),
        lags=Lags(cast("Progress", progress), Ledger()),
        writer=writer,
        outcomes=Outcomes(),
        latency=Latency("documents"),
        watched=Watched(activity=True, namespaces={"guest"}),
        retention=SimpleNamespace(seconds_left=lambda _: None),
        storing_step=SimpleNamespace(
            documents_in_flight=0, bytes_in_flight=0, breaker=SimpleNamespace(reasons=dict)
        ),
        breakers=SimpleNamespace(topics=dict, holds=lambda _: False),
        guard=SimpleNamespace(remembered=lambda: {0: 0}),
    )


def test_names_follow_prometheus_rules() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"persister(_[a-z]+)+", metric.name)
        # The client adds it.
        assert not metric.name.endswith("_total")
        assert not metric.name.endswith(("_count", "_sum", "_bucket"))
        assert metric.text
        if isinstance(metric, Distribution):
            assert metric.name.endswith(("_seconds", "_bytes", "_documents"))


def test_every_counter_and_every_known_value_is_there_at_zero() -> None:
    text = render(worker()).decode()
    for metric in METRICS:
        name = f"{metric.name}_total" if isinstance(metric, Counter) else metric.name
        if metric.name != "persister_retention_seconds_left":
            assert re.search(rf"^{name}(_bucket)?[ {{]", text, re.MULTILINE), name
    for line in (
        'persister_records_total{outcome="dead-lettered",reason="too-large",step="route"} 0.0',
        'persister_records_total{outcome="duplicate",reason="database",step="store"} 0.0',
        'persister_records_consumed_total{step="store"} 0.0',
        'persister_records_lost_to_retention_total{topic="documents"} 0.0',
        'persister_database_requests_total{status="503"} 0.0',
        'persister_database_requests_total{status="timeout"} 0.0',
        'persister_step_latency_seconds_bucket{le="+Inf",step="route"} 0.0',
        'persister_namespace_activations_total{namespace="guest",status="internal error"} 0.0',
        'persister_lag_records{partition="0",topic="documents"} 2.0',
        'persister_oldest_unfinished_age_seconds{partition="0",topic="documents"} 30.0',
        "persister_kafka_up 1.0",
        "persister_ready 1.0",
    ):
        assert line in text
    assert "process_cpu_seconds_total" in text
    assert "_created" not in text


@needs_promtool
def test_promtool_finds_them_right() -> None:
    promtool("check", "metrics", given=render(worker()))


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram((1.0, 10.0))
    histogram.observe(1.0, 3)
    histogram.observe(2.0)
    histogram.observe(100.0)
    assert list(histogram.buckets()) == [("1", 3.0), ("10", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 105.0


def record(timestamp: float, value: bytes | None) -> Any:
    return SimpleNamespace(timestamp=int(timestamp * 1000), value=value, offset=0)


def observed(histogram: Histogram) -> float:
    return dict(histogram.buckets())["+Inf"]


def test_a_chunk_is_counted_by_its_first_record() -> None:
    latency = Latency("documents", wall=lambda: NOW)
    latency.finished(Chunk(TP("completed0", 0), [record(NOW - 4, b"x"), record(NOW, b"x")]))
    assert latency.steps[Step.ROUTE].total == 8.0
    assert observed(latency.whole) == 0


def test_what_is_stored_is_measured_from_the_end_of_an_activation() -> None:
    latency = Latency("documents", wall=lambda: NOW)
    ended = b'{"end": %d, "name": "x"}' % ((NOW - 7) * 1000)
    latency.finished(Chunk(DOCUMENTS, [record(NOW - 1, ended)]))
    assert latency.whole.total == 7.0
    junk = (None, b"", b"junk", b'{"end": "x"}', b"[" * 100_000, b'{"end": 0}', b"{}")
    for value in (*junk, b'{"end": %b}' % (b"9" * 400), b'{"end": "\xff"}'):
        latency.finished(Chunk(DOCUMENTS, [record(NOW - 1, value)]))
    assert observed(latency.whole) == 1


def test_a_chunk_that_released_its_records_while_it_waited_is_measured_too() -> None:
    latency = Latency("documents", wall=lambda: NOW)
    chunk = Chunk(DOCUMENTS, [record(NOW - 4, b'{"end": 1}'), record(NOW, b"x")])
    chunk.release()
    latency.finished(chunk)
    assert latency.steps[Step.STORE].total == 8.0
    assert observed(latency.whole) == 0


def test_a_clock_that_is_behind_makes_no_negative_latency() -> None:
    latency = Latency("documents", wall=lambda: NOW)
    latency.finished(Chunk(TP("completed0", 0), [record(NOW + 60, b"x")]))
    assert latency.steps[Step.ROUTE].total == 0.0


def test_a_chunk_without_a_time_is_not_half_a_century_late() -> None:
    latency = Latency("documents", wall=lambda: NOW)
    latency.finished(Chunk(TP("completed0", 0), [Untimed(0, None, b"x")]))
    assert observed(latency.steps[Step.ROUTE]) == 0


def test_outcomes_that_are_not_known_beforehand_are_shown_too() -> None:
    one = worker()
    one.writer.stats.requests = Counts({"418": 2})
    assert 'persister_database_requests_total{status="418"} 2.0' in render(one).decode()
