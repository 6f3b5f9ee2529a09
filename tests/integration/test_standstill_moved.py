"""Kafka comes back elsewhere, empty, or without its last records: nobody stands still."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from dev.admin import admin as connect_admin
from dev.forwarder import forwarder
from dev.kafka import Kafka, install_kafka
from dev.process import HOST
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, until

SOON = 25
"""Seconds after the broker is back: what waits for the old one has to give up first."""

KEPT, LOST, NEW = 20, 20, 50
"""More new ones than were lost: by its offsets, the log looks as if it had only grown."""

CHECKPOINTS = ("recovery-point*", "replication-offset*", ".kafka_cleanshutdown")
"""Where a broker notes up to where its logs are on the disk."""


async def test_a_cluster_that_comes_back_at_other_addresses_is_found(
    worker: StartWorker, couchdb_url: str, prefix: str, database: str, tmp_path: Path
) -> None:
    install_kafka()
    folder, topic, records = tmp_path / "kafka", f"{prefix}completed0", Records(21)
    folder.mkdir()
    broker = Kafka(folder)
    await asyncio.to_thread(broker.start)
    try:
        async with forwarder(broker.port) as address:
            async with connect_admin(broker.url) as admin:
                await admin.create_topic(topic)
                url = f"kafka://{HOST}:{address.port}"
                running = await worker(kafka_url=url, partitions=2, session_timeout=6)
                async with producer(broker.url) as kafka:
                    await kafka.records(topic, records.many(10))
                await drained(admin, prefix, topic)
            await asyncio.to_thread(broker.stop)

            broker = Kafka(folder)
            address.target = broker.port
            await asyncio.to_thread(broker.start)
            fresh = records.many(10)
            async with producer(broker.url) as kafka:
                await kafka.records(topic, fresh)
            await until(lambda: all_stored(couchdb_url, database, fresh), "stored", within=SOON)
            async with connect_admin(broker.url) as admin:
                await drained(admin, prefix, topic)
            assert running.running
            assert await asyncio.to_thread(running.terminate) == 0
    finally:
        await asyncio.to_thread(broker.stop)


async def test_a_worker_whose_kafka_comes_back_empty_ends_and_the_next_one_starts_afresh(
    worker: StartWorker, couchdb_url: str, prefix: str, database: str, tmp_path: Path
) -> None:
    install_kafka()
    topic, records = f"{prefix}completed0", Records(22)
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    broker = Kafka(folders[0])
    await asyncio.to_thread(broker.start)
    try:
        async with forwarder(broker.port) as address:
            settings = {"kafka_url": f"kafka://{HOST}:{address.port}", "session_timeout": 6}
            async with connect_admin(broker.url) as admin:
                await admin.create_topic(topic)
                running = await worker(partitions=2, **settings)
                async with producer(broker.url) as kafka:
                    await kafka.records(topic, records.many(10))
                await drained(admin, prefix, topic)
            await asyncio.to_thread(broker.kill)

            broker = Kafka(folders[1])
            address.target = broker.port
            await asyncio.to_thread(broker.start)
            assert await asyncio.to_thread(running.wait, SOON) == 1
            assert "gone from Kafka" in running.log().splitlines()[-1]

            async with connect_admin(broker.url) as admin, producer(broker.url) as kafka:
                await admin.create_topic(topic)
                await worker(partitions=2, **settings)
                fresh = records.many(10)
                await kafka.records(topic, fresh)
                await until(lambda: all_stored(couchdb_url, database, fresh), "stored", within=SOON)
    finally:
        await asyncio.to_thread(broker.stop)


async def test_what_kafka_writes_in_place_of_records_that_it_lost_is_stored(
    worker: StartWorker, couchdb_url: str, prefix: str, database: str, tmp_path: Path
) -> None:
    install_kafka()
    folder, topic, records = tmp_path / "kafka", f"{prefix}completed0", Records(23)
    folder.mkdir()
    log, copy = folder / "kafka" / f"{topic}-0", tmp_path / "copy"
    broker = Kafka(folder)
    await asyncio.to_thread(broker.start)
    try:
        async with connect_admin(broker.url) as admin:
            await admin.create_topic(topic)
        running = await worker(kafka_url=broker.url, partitions=2, session_timeout=6)
        await _carried(broker, prefix, topic, records.many(KEPT))
        await asyncio.to_thread(broker.terminate)
        shutil.copytree(log, copy)
        await asyncio.to_thread(broker.start)
        await _carried(broker, prefix, topic, records.many(LOST))
        assert await asyncio.to_thread(running.terminate) == 0
        await asyncio.to_thread(broker.terminate)
        shutil.rmtree(log)
        shutil.copytree(copy, log)
        for path in (path for name in CHECKPOINTS for path in log.parent.glob(name)):
            path.unlink()
        await asyncio.to_thread(broker.start)
        fresh = records.many(NEW)
        async with producer(broker.url) as kafka:
            await kafka.records(topic, fresh)
        again = await worker(kafka_url=broker.url, partitions=2, session_timeout=6)
        await until(lambda: all_stored(couchdb_url, database, fresh), "stored", within=SOON)
        said = f"{topic}/0 was read up to offset {KEPT + LOST}, but Kafka has lost its end"
        assert said in again.log()
    finally:
        await asyncio.to_thread(broker.stop)


async def _carried(broker: Kafka, prefix: str, topic: str, records: list[dict[str, Any]]) -> None:
    """Send records, and wait until they are read."""
    async with producer(broker.url) as kafka:
        await kafka.records(topic, records)
    async with connect_admin(broker.url) as admin:
        await drained(admin, prefix, topic)
