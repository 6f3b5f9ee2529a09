"""Fills a guard's table in Kafka, as a worker does that has stored many records.

python -m dev.bench.remembered RECORDS, with the settings of the worker.
"""

import asyncio
import os
import sys
import time
from typing import cast

from faust.tables.base import Collection

from app.application import Persister
from app.couchdb.database import connected
from app.kafka.producer import Outgoing, open_producer
from app.settings import Settings, load
from app.storing.guard import Guard
from dev.bench.guard import CHUNK


async def fill(settings: Settings, records: int) -> None:
    """Write what a guard of this database would have written after so many records."""
    async with connected(settings.database) as database:
        await database.prepare()
        identity = database.identity
    entries: dict[str, bytes] = {}
    guard = Guard(
        entries,
        settings.guard,
        clock=time.time,
        forget=entries.__delitem__,
        topic_prefix=settings.kafka.topic_prefix,
    )
    partitions = settings.kafka.partitions
    guard.assign(range(partitions))
    guard.bind(identity)
    for number in range(records // CHUNK):
        digests = [os.urandom(16) for _ in range(CHUNK)]
        guard.remember(number % partitions, number * CHUNK, digests)
    async with open_producer(settings.kafka) as producer:
        table = cast("Collection", Persister(settings).guard_table)
        changes = [_change(table, key, value) for key, value in entries.items()]
        await producer.send(table.changelog_topic.get_topic_name(), changes)


def _change(table: Collection, key: str, value: bytes) -> Outgoing:
    """The record that a table sends for an entry."""
    topic = table.changelog_topic
    written_key, _ = topic.prepare_key(key, table.key_serializer)
    written, _ = topic.prepare_value(value, table.value_serializer)
    return Outgoing(written_key, written, partition=int(key.partition("/")[0]))


if __name__ == "__main__":
    asyncio.run(fill(load(), int(sys.argv[1])))
