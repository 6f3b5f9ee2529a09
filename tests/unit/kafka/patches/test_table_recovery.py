"""Recovery between an assignment and the first fetch, when Kafka does not answer."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain, ServiceStopped
from faust.tables.recovery import Recovery as FaustRecovery

from app.kafka.patches.table_recovery import Recovery, TableManager


@pytest.fixture
async def recovery() -> Recovery:
    app: Any = SimpleNamespace(conf=SimpleNamespace(stream_recovery_delay=0.0))
    tables: Any = SimpleNamespace()
    return Recovery(app, tables)


async def test_a_step_that_kafka_does_not_answer_has_it_begin_again(
    recovery: Recovery, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(RebalanceAgain):
        await recovery._wait(asyncio.Event().wait(), timeout=0.01)
    assert recovery.signal_recovery_start.is_set()
    assert "Kafka did not answer within 0.01 s" in caplog.text


async def test_faust_takes_the_end_of_its_patience_for_the_end_of_the_service(
    recovery: Recovery,
) -> None:
    with pytest.raises(ServiceStopped):
        await FaustRecovery._wait(recovery, asyncio.Event().wait(), timeout=0.01)


async def test_a_step_that_is_answered_is_over(recovery: Recovery) -> None:
    await recovery._wait(asyncio.sleep(0), timeout=60)
    assert not recovery.signal_recovery_start.is_set()


async def test_a_stop_ends_it(recovery: Recovery) -> None:
    recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(asyncio.Event().wait(), timeout=60)
    assert not recovery.signal_recovery_start.is_set()


async def test_a_start_does_not_wait_for_tables_that_nobody_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = SimpleNamespace(assignment=set, pause_partitions=lambda _: None)
    app: Any = SimpleNamespace(consumer=consumer)
    tables = TableManager(app)
    started: list[bool] = []

    async def start() -> None:
        started.append(True)

    async def sleep(seconds: float) -> None:
        raise AssertionError(f"slept for {seconds} s")

    monkeypatch.setattr(TableManager, "recovery", SimpleNamespace(start=start))
    monkeypatch.setattr(tables, "sleep", sleep)
    await tables.on_start()
    assert started
    assert tables._tables_registered.is_set(), "what the subscription waits for"
