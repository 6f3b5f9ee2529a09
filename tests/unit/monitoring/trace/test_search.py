"""Going through records in search of an activation."""

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.reader import Bounds, TopicPartition
from app.monitoring.trace import search
from app.monitoring.trace.account import Account
from app.monitoring.trace.search import Look
from app.monitoring.trace.sighting import Kind, Place, Sighting

ID = "a" * 32


class Topic:
    """A reader of one partition with records of these sizes."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes

    async def bounds(self, topic: str, _partitions: int) -> dict[TopicPartition, Bounds]:
        return {TopicPartition(topic, 0): Bounds(0, len(self._sizes))}

    async def records(self, tp: TopicPartition, _bounds: Bounds) -> AsyncIterator[Any]:
        for offset, size in enumerate(self._sizes):
            yield SimpleNamespace(
                topic=tp.topic, partition=0, offset=offset, timestamp=1, key=b"", value=bytes(size)
            )


async def look_through(topic: Topic, look: Look, *, share: float = 1.0) -> Account:
    async def remembered(_partition: int, document: bytes) -> bool:
        return len(document) == 2

    account = Account(ID)
    reader: Any = topic
    searching = search._Search(reader, account, {}, share, remembered)
    await searching.look_through("topic", 1, look)
    return account


async def test_large_records_are_looked_at_beside_the_event_loop() -> None:
    threads: list[bool] = []

    def look(place: Place, _record: Any) -> Sighting:
        threads.append(threading.current_thread() is threading.main_thread())
        return Sighting(place, Kind.RECORD, "to be stored")

    account = await look_through(Topic(10, search._LARGE + 1, 10), look)
    assert threads == [True, False, True]
    assert [one.place.offset for one in account.sightings] == [0, 1, 2]


async def test_a_search_pauses_whatever_the_offset_at_which_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "_PAUSE_SECONDS", -1.0)  # each record takes long
    others = 0

    async def count() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await look_through(Topic(*[1] * 30), lambda _place, _record: None, share=0.99)
    counting.cancel()
    assert others >= 30


async def test_documents_that_the_guard_remembers_are_told() -> None:
    def look(place: Place, record: Any) -> Sighting:
        return Sighting(place, Kind.DOCUMENT, "to be written", document=record.value)

    account = await look_through(Topic(1, 2), look)
    assert [one.decided for one in account.sightings] == [
        "to be written",
        "to be written; the guard remembers it as stored",
    ]
