"""A broker that freezes while traffic ends: what is on its topics needs no further record."""

import asyncio
import os
import signal
from pathlib import Path

from dev.admin import admin as connect_admin
from dev.kafka import Kafka, install_kafka
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, until

SESSION_TIMEOUT = 3
FROZEN = 7
"""Seconds: longer than the session, so that the broker forgets the worker when it thaws."""

SOON = 20


async def test_what_came_around_a_freeze_is_stored_without_a_further_record(
    worker: StartWorker, couchdb_url: str, prefix: str, database: str, tmp_path: Path
) -> None:
    install_kafka()
    folder = tmp_path / "kafka"
    folder.mkdir()
    broker = Kafka(folder)
    await asyncio.to_thread(broker.start)
    topics = [f"{prefix}completed{number}" for number in range(4)]
    records = Records(31)
    try:
        async with connect_admin(broker.url) as admin, producer(broker.url) as kafka:
            for topic in topics:
                await admin.create_topic(topic)
            settings = {"partitions": 4, "session_timeout": SESSION_TIMEOUT}
            running = await worker(kafka_url=broker.url, **settings)
            everything = records.many(400)
            await asyncio.gather(*(kafka.records(topic, everything[:100]) for topic in topics[:1]))
            os.kill(broker.pid, signal.SIGSTOP)
            # They reach the broker when it thaws: the last ones, while the worker joins again.
            sending = [
                asyncio.create_task(kafka.records(topic, everything[100 * n : 100 * (n + 1)]))
                for n, topic in enumerate(topics)
                if n
            ]
            await asyncio.sleep(FROZEN)
            os.kill(broker.pid, signal.SIGCONT)
            await asyncio.gather(*sending)
            await until(
                lambda: all_stored(couchdb_url, database, everything), "stored", within=SOON
            )
            await drained(admin, prefix, *topics)
            assert running.running
            # Commits that were under way are refused, which is no error of anybody's.
            assert "Traceback" not in running.log()
    finally:
        await asyncio.to_thread(broker.stop)
