"""The service that publishes this worker's snapshot, and reads those of the others.

Nothing here may disturb the work. So it has a producer of its own, since a producer discards its
client when a batch is refused; and a failure is logged once and tried again.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mode import Service

from app.kafka.access import explain
from app.kafka.admin import Admin, UnreadableSettingsError, open_admin
from app.kafka.allowance import Allowance
from app.kafka.errors import KafkaError
from app.kafka.producer import BatchProducer, Outgoing
from app.kafka.reader import Reader, TopicPartition, open_reader
from app.kafka.records import Record
from app.kafka.topics import TopicSpec
from app.monitoring.group.roster import Roster
from app.monitoring.group.snapshot import LARGEST, Snapshot, decode, encode
from app.settings import Compression, KafkaSettings

TELL_SECONDS = 5.0
"""Seconds between two snapshots."""

RETRY_SECONDS = 10.0

DEAF_SECONDS = 20.0
"""Seconds without any snapshot, not even its own, after which a worker looks for the topic and
subscribes again.
"""

_TELL, _HEAR = "tell the other workers how this one is", "hear the other workers"

BACKLOG = 8_000
"""Most snapshots to read at the start: the latest of those that compaction leaves."""

MOST_TOGETHER = 100
"""Most snapshots in one batch of records; a worker sends each in a batch of its own."""

TOPIC_LOOKS, TOPIC_SECONDS = 10, 0.5
"""How often to look for a topic that was just created, and the seconds in between."""

STOP_SECONDS = 2.0


class Exchange(Service):
    """Publishes this worker's snapshots and reads those of all workers.

    Args:
        settings: how to connect.
        topic: the topic of the snapshots, which is created if it is missing.
        gather: makes this worker's snapshot.
        roster: is told of all snapshots.
        looked: called after each of this worker's own snapshots.
        away: whether Kafka is known not to answer.
        producer: sends snapshots; used by this service only.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: TopicSpec,
        gather: Callable[[], Snapshot],
        roster: Roster,
        *,
        looked: Callable[[], None],
        away: Callable[[], bool],
        producer: BatchProducer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._topic = topic
        self._gather = gather
        self._roster = roster
        self._looked = looked
        self._away = away
        self._producer = producer or BatchProducer(settings, {topic.name: Compression.NONE})
        self._told = False
        self._troubles: dict[str, str] = {}
        """What currently fails, and why."""
        self._there = asyncio.Event()
        """Set once the topic is known to exist: sending to a missing one may create it."""
        self.caught_up = asyncio.Event()
        """Set once all earlier snapshots have been read, or cannot be read."""

    async def on_stop(self) -> None:
        """Remove this worker from the others' lists, if Kafka answers at once."""
        if self._told and not self._away():
            with suppress(Exception):  # they find out by themselves
                await asyncio.wait_for(self._send(None), STOP_SECONDS)
        await self._producer.stop(STOP_SECONDS)

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            self._roster.own = self._gather()
            self._looked()
            await self.sleep(TELL_SECONDS)

    @Service.task
    async def _tell(self) -> None:
        while not self.should_stop:
            pause = TELL_SECONDS
            if self._there.is_set() and not self._away():
                try:
                    await self._send(encode(self._roster.own))
                    self._told = True
                    self._works(_TELL)
                except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
                    self._failed(_TELL, error)
                    pause = RETRY_SECONDS
            await self.sleep(pause)

    @Service.task
    async def _listen(self) -> None:
        while not self.should_stop:
            try:
                await self._make_topic()
                async with open_reader(
                    self._settings, fetch_wait=TELL_SECONDS, largest=LARGEST, most=MOST_TOGETHER
                ) as reader:
                    self._there.set()
                    await self._hear(reader)
            except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
                self._failed(_HEAR, error)
                self.caught_up.set()
                await self.sleep(RETRY_SECONDS)

    async def _make_topic(self) -> None:
        async with open_admin(self._settings) as admin:
            if self._topic.name in await admin.topics():
                await self._put_right(admin)
                return
            await admin.create(self._topic, self._settings.replication)
            self.caught_up.set()
            # A broker may need a moment to learn of it, and a client that asks earlier logs an
            # error.
            for _ in range(TOPIC_LOOKS):
                await asyncio.sleep(TOPIC_SECONDS)
                if self._topic.name in await admin.topics():
                    return

    async def _put_right(self, admin: Admin) -> None:
        """Keep a topic small that Kafka has created automatically (auto.create.topics.enable)."""
        topic = self._topic
        # Without the right to change it, it only grows, within the broker's default retention.
        with suppress(KafkaError, UnreadableSettingsError):
            actual = (await admin.topic_settings([topic.name], topic.config))[topic.name]
            if "compact" not in actual["cleanup.policy"]:
                await admin.change_topic_settings(topic.name, topic.config)

    async def _hear(self, reader: Reader) -> None:
        """Read snapshots until none arrive any more, not even this worker's own.

        That happens if the topic is gone, and the producer waits until it exists again.
        """
        partition = TopicPartition(self._topic.name, 0)
        start, end = (await reader.bounds(self._topic.name, 1))[partition]
        heard_at = time.monotonic()
        if start >= end:
            self.caught_up.set()
        start = max(start, end - BACKLOG)
        async for records in reader.follow(partition, start, TELL_SECONDS, Allowance()):
            if self.should_stop:
                return
            for record in records:
                self._take(record)
            if not records or records[-1].offset >= end - 1:
                self.caught_up.set()
            if records:
                self._works(_HEAR)
            if records or self._away() or _TELL in self._troubles:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > DEAF_SECONDS:
                return

    def _take(self, record: Record) -> None:
        key: bytes = record.key or b""
        try:
            snapshot = decode(key, record.value) if record.value else None
            worker = key.decode()
        except ValueError:
            # From another version or from a stranger; it says nothing about a worker.
            return
        self._roster.heard(worker, snapshot, record.timestamp / 1000)

    async def _send(self, value: bytes | None) -> None:
        key = self._roster.own.worker.encode()
        await self._producer.send(self._topic.name, [Outgoing(key, value, partition=0)])

    def _failed(self, what: str, error: Exception) -> None:
        why = f"cannot {what}: {explain(error, self._settings)}"
        if why != self._troubles.get(what) and not self._away():
            self.log.warning(
                "The status page does not show all workers (%s, %s); trying again.",
                *(self._topic.name, why),
            )
        self._troubles[what] = why
        self._roster.trouble = why

    def _works(self, what: str) -> None:
        if self._troubles.pop(what, None) and not self._troubles:
            self.log.info("The status page shows all workers of the group again.")
        self._roster.trouble = next(iter(self._troubles.values()), "")
