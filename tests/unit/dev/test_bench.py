"""What the benchmark makes of what it saw."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.bench.change import table, verdict
from dev.bench.latency import Flow
from dev.bench.measure import Family, percentile, server
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


OLD = {"route": 4.0, "pack": 2.0, "gone": 1.0}


def test_a_step_that_costs_over_a_tenth_more_is_named() -> None:
    told = verdict(OLD, {"route": 4.1, "pack": 2.3, "new": 1.0}, "abc123")
    assert told == "A RECORD COSTS MORE than in abc123: pack +15%. Is it worth that?"


def test_steps_that_cost_more_together_are_named_even_if_none_does_alone() -> None:
    assert "all +11%" in verdict({"a": 1.0, "b": 1.0}, {"a": 1.11, "b": 1.11}, "abc123")


def test_nothing_is_made_of_a_small_difference() -> None:
    told = verdict(OLD, {"route": 4.3, "pack": 2.23}, "abc123")
    assert told == "no step of a record's way costs over 10% more than in abc123"


def test_steps_are_compared_that_both_commits_have() -> None:
    lines = table(OLD, {"route": 4.0, "pack": 3.0, "new": 9.0})
    assert [line.split(":")[0].strip() for line in lines] == ["route", "pack", "all"]
    assert lines[-1].endswith("+17%")


BUSY = "import time\nwhile time.process_time() < 0.2: pass\n"
PARENT = f"""
import socket, subprocess, sys
listening = socket.create_server(("127.0.0.1", 0))
helper = [sys.executable, "-c", {BUSY!r}]
subprocess.run(helper, check=True)
living = subprocess.Popen([sys.executable, "-c", {BUSY!r} + "print(1, flush=True)\\ninput()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
living.stdout.readline()
print(listening.getsockname()[1], flush=True)
input()
"""


@contextmanager
def listening() -> Iterator[tuple[int, int]]:
    """A process with a helper that has ended and one that lives: its id, and its port."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_server_is_found_by_its_port_and_costs_what_its_helpers_do() -> None:
    with listening() as (pid, port):
        found = server(f"http://user:password@127.0.0.1:{port}")
        assert found is not None
        assert found.cpu_seconds() == Family(pid).cpu_seconds()
        assert found.cpu_seconds() >= 0.4 - 4 / os.sysconf("SC_CLK_TCK")


def test_a_server_elsewhere_is_not_looked_for() -> None:
    assert server("http://couchdb.example:5984") is None
