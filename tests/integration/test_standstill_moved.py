"""Kafka comes back elsewhere, or empty: nothing is lost, nobody stands still."""

import asyncio
from pathlib import Path

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
