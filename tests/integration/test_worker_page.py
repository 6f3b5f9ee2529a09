"""One page for the whole group: every worker tells the others how it is."""

import asyncio
from typing import Any

from dev.admin import Admin
from dev.worker import Worker
from tests.integration.conftest import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, status, until


async def workers(worker: Worker) -> dict[str, Any]:
    """What `/status` of a worker says of each of the group, by its port."""
    told = (await status(worker))["workers"]
    return {name.rpartition(":")[2]: one for name, one in told.items()}


async def test_each_worker_shows_all_of_them_and_whom_it_misses(
    worker: StartWorker, admin: Admin, kafka_url: str, prefix: str
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    running = await asyncio.gather(*(worker(partitions=4, session_timeout=3) for _ in range(3)))
    first, killed, stopped = running
    async with producer(kafka_url) as kafka:
        await kafka.records(topic, Records(16).many(30))
    await drained(admin, prefix, topic)

    async def all_are_there() -> bool:
        told = [await workers(one) for one in running]
        return all(
            len(one) == 3 and sum(each["counts"]["stored"] for each in one.values()) == 30
            for one in told
        )

    await until(all_are_there, "each knows all three, and what they have stored")
    told = await workers(first)
    assert [one["own"] for one in told.values()] == [True, False, False]
    assert all(one["ready"] and not one["missing"] for one in told.values())
    readers = {
        partition["worker"]
        for partitions in (await status(first))["topics"].values()
        for partition in partitions.values()
    }
    assert {name.rpartition(":")[2] for name in readers} <= told.keys()

    killed.kill()
    assert await asyncio.to_thread(stopped.terminate) == 0

    async def is_missed() -> bool:
        told = await workers(first)
        return (
            told.keys() == {str(first.port), str(killed.port)}
            and (told[str(killed.port)]["missing"])
        )

    await until(is_missed, "the one that was killed is missing, the one that stopped is gone")
    assert "The status page shows this worker alone" not in first.log()
