"""A worker whose work stands still for a cause that it cannot see: not ready soon, and then gone.

What was not stored is stored by the next start, without any further record.
"""

import asyncio
import os
import time

import pytest

from dev.breakdowns import Breakdown
from dev.worker import Worker
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import until

STUCK_AFTER = 12.0
NOT_READY_WITHIN = 15.0
GONE_WITHIN = STUCK_AFTER + 30.0
"""What noticing takes, and what a stop may take at which everything hangs."""


def is_ready(worker: Worker) -> bool:
    """What a probe finds."""
    return worker._is_ready()


@pytest.mark.parametrize("breakdown", Breakdown, ids=lambda breakdown: breakdown.name.lower())
async def test_a_standstill_is_not_ready_and_has_an_end(
    deployment: Deployment, kafka: Producer, breakdown: Breakdown
) -> None:
    topic = await deployment.topic("completed0")
    running = await deployment.worker(
        application="dev.faulty_worker",
        partitions=2,
        session_timeout=6,
        shutdown_deadline=3,
        stuck_after=STUCK_AFTER,
    )
    await kafka.records(topic, Records(31).many(20))
    await deployment.drained(topic)

    os.kill(running.pid, breakdown)
    await kafka.records(topic, Records(32).many(20))
    began = time.monotonic()

    async def not_ready() -> bool:
        return not await asyncio.to_thread(is_ready, running)

    await until(not_ready, "it is not ready", within=NOT_READY_WITHIN)

    async def gone() -> bool:
        return not running.running

    await until(gone, "it is gone", within=began + GONE_WITHIN - time.monotonic())
    assert running.wait() == 1
    assert "PERSISTER_STUCK_AFTER" in running.log()

    await deployment.worker(partitions=2, session_timeout=6)
    await deployment.drained(topic)
    await deployment.holds_what_was_sent()
