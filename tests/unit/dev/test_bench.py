"""What the benchmark makes of what it saw."""

import asyncio
import json
from pathlib import Path

import pytest

from dev.bench.latency import Flow
from dev.bench.measure import percentile
from dev.bench.report import Figure, write
from dev.bench.simple import document
from dev.bench.throughput import document as by_the_worker
from dev.traffic.backlog import messages


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 50) == 51
    assert percentile(values, 99) == 100
    assert percentile([7.0], 99) == 7


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_latency_is_that_of_a_record_sent_in_the_time_in_question() -> None:
    flow = Flow(sent={"a": 1.0, "b": 2.0, "c": 3.0})
    for id_, at in {"a": 9.0, "b": 2.5, "c": 9.0}.items():
        flow.arrives(id_, at)
    assert flow.latencies(2.0, 3.0) == [0.5]


def test_late_is_what_took_too_long_and_what_has_waited_too_long() -> None:
    flow = Flow(sent={"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.5}, arrived={"a": 9.0, "b": 2.1})
    assert flow.late(2.0, limit=1.0, now=10.0) == pytest.approx(1 / 3)
    assert flow.late(11.0, limit=1.0, now=12.0) == 0


async def test_it_is_waited_for_the_last_record() -> None:
    flow = Flow(sent={"a": 1.0, "b": 2.0})
    flow.arrives("a", 3.0)
    waiting = asyncio.create_task(flow.complete())
    await asyncio.sleep(0)
    assert not waiting.done()
    flow.arrives("b", 3.0)
    await waiting


def test_figures_are_written_with_their_machine(tmp_path: Path) -> None:
    file = tmp_path / "new" / "bench.json"
    write([Figure("latency", "p50", 12.5, "ms", "25")], file)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["machine"]
    assert content["figures"] == [
        {"part": "latency", "name": "p50", "value": 12.5, "unit": "ms", "goal": "25"}
    ]


def test_the_simple_loop_stores_what_the_worker_stores() -> None:
    ((_, message),) = messages(1, 600)
    mine, theirs = document(message), json.loads(by_the_worker(message))
    assert mine | {"updated": 0} == theirs | {"updated": 0}
