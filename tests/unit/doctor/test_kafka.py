"""What is said of Kafka's topics."""

import pytest

from app.doctor import Finding, State, worst
from app.doctor.kafka import judge_limits, log_mode
from app.settings import load

MIB = 1024 * 1024
HOUR = "3600000"


@pytest.mark.parametrize(
    "prefix,mode,topics,state,said",
    [
        ("", "separate", ["completed0", "completed-others"], State.OK, "completed-others"),
        ("", "in-record", ["completed0", "activations"], State.OK, "reads activations"),
        ("", "separate", ["completed0", "activations"], State.WARNING, "=in-record"),
        ("", "separate", [], State.WARNING, "none is there yet"),
        ("ow-", "separate", ["completed0"], State.WARNING, "PERSISTER_TOPIC_PREFIX is"),
    ],
)
def test_the_log_mode_fits_the_topics_or_is_said_not_to(
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    mode: str,
    topics: list[str],
    state: State,
    said: str,
) -> None:
    monkeypatch.setenv("PERSISTER_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("PERSISTER_LOG_MODE", mode)
    (finding,) = log_mode(load(), dict.fromkeys(topics, 1))
    assert finding.state is state
    assert said in finding.detail


def test_a_topic_that_takes_larger_records_than_the_worker_is_a_warning() -> None:
    limits = {"retention.ms": HOUR, "max.message.bytes": str(20 * MIB)}
    finding = judge_limits("completed0", limits, 16 * MIB)
    assert finding.state is State.WARNING
    assert "PERSISTER_MAX_RECORD_BYTES" in finding.detail


@pytest.mark.parametrize("retention,said", [(HOUR, "1.0 h: what"), ("-1", "without end")])
def test_how_long_records_are_kept_is_said(retention: str, said: str) -> None:
    limits = {"retention.ms": retention, "max.message.bytes": str(MIB)}
    assert said in judge_limits("completed0", limits, 16 * MIB).detail


def test_the_worst_of_all_counts() -> None:
    findings = [Finding("a", state, "") for state in (State.WARNING, State.OK)]
    assert worst(findings) is State.WARNING
    assert worst([*findings, Finding("b", State.WRONG, "")]) is State.WRONG
    assert worst([]) is State.OK
