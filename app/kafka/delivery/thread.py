"""What happens in the thread in which aiokafka runs: fetches, seeks, commits, look-ups of offsets.

Each overriding method says what Faust's does. They depend on the internals of Faust and aiokafka,
so their versions are pinned, and `python -m dev.internals` shows what a new version changes.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    UnknownError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from app.kafka.delivery import epochs
from app.kafka.patches.changed_subscriptions import notice_changed_subscriptions
from app.kafka.patches.committed_offsets import watch_committed_offsets
from app.kafka.patches.fetched_batches import Fetched, unpack_chunks
from app.kafka.patches.refused_fetches import Fetches
from app.kafka.patches.refused_joins import Membership
from app.kafka.patches.refused_offsets import Refused, set_refused_aside
from app.kafka.patches.waiting_fetches import fetch_apart
from app.process.errors import StartError

if TYPE_CHECKING:
    from app.kafka.delivery.consumer import Consumer

COMMIT_DEADLINE = 5.0
"""Time-out of a commit, in seconds. The next one commits what this one did not."""

OFFSETS_SECONDS = 3.0
"""For Kafka to say where logs begin and end; then it is looked whether they are all there."""

TROUBLE_SECONDS = 0.5
"""Between two questions for offsets that a broker fails to answer."""

LOOK_SECONDS = 1.0
"""How often a fetch that waits for records looks whether other partitions are to be fetched too."""

SOUGHT_AGAIN = 5.0
"""Seconds between two times that a fetcher which reads too far is sent back in one partition."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka's consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused: Refused = {}
        self._sought: dict[TP, float] = {}
        self._shelf: Fetched | None = None
        self._epochs: dict[TP, int] = {}
        self.fetches = Fetches(self._say)
        self.membership = Membership(self._delivery.transport.kafka, self._end, self._say)

    async def _keepalive2(self) -> None:
        """Nothing: mode's wakes both threads each second, and what it would say is not so.

        It measures how late it is itself. A thread that hangs is found by what it no longer does:
        the group loses the member, and the judge of the worker's progress sees it.
        """

    @Service.task
    async def _thread_keepalive(self) -> None:
        """Nothing: mode's wakes the thread each second, lest it miss what others put in its queue.

        They wake it when they do (`call_soon_threadsafe`).
        """

    @property
    def _delivery(self) -> "Consumer":
        return cast("Consumer", self.consumer)

    def _say(self, line: str) -> None:
        self.log.warning("%s.", line)

    def _end(self, reason: str) -> None:
        end = self._delivery.transport.callbacks.end
        self.app.loop.call_soon_threadsafe(end, StartError(reason))

    async def on_start(self) -> None:
        """Start the consumer and apply the patches to it."""
        await super().on_start()
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator  # noqa: SLF001
        self.membership.watch(consumer)
        notice_changed_subscriptions(coordinator)
        watch_committed_offsets(coordinator)
        fetch_apart(consumer._client)  # noqa: SLF001
        self.fetches.watch(consumer)
        set_refused_aside(coordinator, self._refused)
        kafka = self._delivery.transport.kafka
        self._shelf = unpack_chunks(
            consumer._fetcher,  # noqa: SLF001
            self._delivery.delivers_chunks,
            kafka.max_record_bytes,
            kafka.fetch_bytes,
        )
        self._epochs = self._shelf.epochs

    def _stopped_set(self) -> None:
        # Once the worker ends by a crash, the thread may have ended before it is told to.
        if not self.thread_loop.is_closed():
            super()._stopped_set()

    async def commit_what_can(self, offsets: Mapping[TP, int]) -> Refused:
        """Commit within `COMMIT_DEADLINE`; returns the partitions whose offset Kafka did not take.

        Instead of Faust's `commit`, which waits for as long as Kafka answers with what may pass.
        """
        left: Refused = await self.call_thread(self._commit_what_can, offsets)
        return left

    async def _commit_what_can(self, offsets: Mapping[TP, int]) -> Refused:
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {
            TopicPartition(*tp): OffsetAndMetadata(offset, epochs.note(self._epochs.get(tp)))
            for tp, offset in offsets.items()
            if tp in assigned
        }
        self._refused.clear()
        try:
            async with asyncio.timeout(COMMIT_DEADLINE):
                await consumer.commit(wanted)
        except (TimeoutError, CommitFailedError, IllegalStateError, UnknownError) as error:
            # Kafka is away or in trouble, and the next commit says more; or the group has moved
            # on: then somebody reads these records again.
            return {tp: type(error) for tp in offsets}
        except KafkaError as error:
            await self.crash(error)
            return {tp: type(error) for tp in offsets}
        return dict(self._refused)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Any:
        """Fetch from where each partition stands, whatever aiokafka takes for its position.

        aiokafka moves on when it hands records over, and Faust drops some of those around a
        rebalance. Without this such records would be fetched again only when the next one comes
        and shows the gap: never, if the traffic has ended.

        It looks after that each second, and whether there is something else to fetch by now.
        """
        until = monotonic() + (timeout or 0)
        while True:
            wanted = tuple(active_partitions)  # at once: the other thread may add some meanwhile
            if self._shelf is not None:
                self._shelf.hand_over(wanted, monotonic())
            self.fetches.try_again()
            self._send_back(consumer, wanted)
            wait = min(LOOK_SECONDS, max(0.0, until - monotonic()))
            fetched = await super()._fetch_records(consumer, active_partitions, wait, max_records)
            others = self.should_stop or not self._delivery.fetches_all(active_partitions)
            if fetched or others or monotonic() >= until:
                return fetched

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        """Seek; raises `IllegalStateError` where one of the partitions was revoked meanwhile.

        aiokafka fails an assertion instead while there is no assignment at all, as after a new
        subscription, and that would end the worker.
        """
        if not partitions.keys() <= self.assignment():
            raise IllegalStateError("a partition that is sought was revoked")
        await super()._seek_wait(consumer, partitions)

    def look_again(self, added: Iterable[TP]) -> None:
        """Have a fetch that waits look again, now that it is to bring more partitions' records."""
        if not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(self._look_again, added)

    def _look_again(self, added: Iterable[TP]) -> None:
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        if self._shelf is not None:
            self._shelf.want(added, monotonic())
        for waiter in tuple(fetcher._fetch_waiters):  # noqa: SLF001
            fetcher._notify(waiter)  # noqa: SLF001

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek where the group has committed; returns that, and nothing without an assignment.

        aiokafka's fails an assertion when nothing is assigned.
        """
        committed: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return committed

    async def _seek_to_committed(self) -> Mapping[TP, int]:
        # Asked here, in the consumer's thread: the assignment may go at any moment.
        if not self.assignment():
            return {}
        committed: Mapping[TP, int] = await self._ensure_consumer().seek_to_committed()
        return committed

    async def overwritten(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """Where other records stand than those which the group has read, from which offset on.

        Of partitions whose log was cut before what is committed; see `epochs`. Those of which
        Kafka does not tell are left out.

        Raises:
            KafkaError: Kafka is in trouble.
            TimeoutError: not within `OFFSETS_SECONDS`.
        """
        found: Mapping[TP, int] = await self.call_thread(self._overwritten, partitions)
        return found

    async def _overwritten(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        async with asyncio.timeout(OFFSETS_SECONDS):
            committed = await consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001
                [TopicPartition(*tp) for tp in partitions]
            )
            offsets = {TP(*tp): entry.offset for tp, entry in committed.items()}
            noted = {TP(*tp): epochs.noted(entry.metadata) for tp, entry in committed.items()}
            known = {tp: epoch for tp, epoch in noted.items() if epoch is not None}
            ends = await epochs.ends(consumer._client, known)  # noqa: SLF001
        cut = {tp: end for tp, end in ends.items() if end < offsets[tp]}
        # For what is committed before the next batch is read.
        self._epochs.update({tp: epoch for tp, epoch in known.items() if tp not in cut})
        return cut

    async def without_commit(self, partitions: Collection[TP]) -> set[TP]:
        """Those of some partitions of which the group has committed nothing.

        Raises:
            KafkaError: Kafka does not say.
            TimeoutError: not within `OFFSETS_SECONDS`.
        """
        found: set[TP] = await self.call_thread(self._without_commit, partitions)
        return found

    async def _without_commit(self, partitions: Collection[TP]) -> set[TP]:
        consumer = self._ensure_consumer()
        async with asyncio.timeout(OFFSETS_SECONDS):
            return {
                tp for tp in partitions if await consumer.committed(TopicPartition(*tp)) is None
            }

    async def rejoin(self) -> None:
        """Have the group rebalance, which sets all positions anew."""
        await self.call_thread(self._rejoin)

    async def _rejoin(self) -> None:
        self._ensure_consumer()._coordinator.request_rejoin()  # noqa: SLF001

    def highwater(self, tp: TP) -> int:
        """Where the log of a partition ended when it was last fetched; 0 if that is not known.

        Faust asks for each chunk, and aiokafka fails an assertion once the partition is no longer
        assigned: as after a new subscription, which may last for as long as no broker coordinates
        the group.
        """
        assigned = tp in self.assignment()
        return (super().highwater(tp) if assigned else None) or 0

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        """Where the logs begin; leaves out partitions that are gone."""
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        found: dict[TP, int] = await self.call_thread(
            self._of_those_that_are_there, fetcher.beginning_offsets, partitions
        )
        return found

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Where the logs end; leaves out partitions that are gone."""
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        found: dict[TP, int] = await self.call_thread(
            self._of_those_that_are_there, fetcher.end_offsets, partitions
        )
        return found

    async def _of_those_that_are_there(
        self, ask: Callable[[list[TopicPartition], float], Any], partitions: Iterable[TP]
    ) -> dict[TP, int]:
        """Ask for offsets, and look again and again whether the partitions are still there.

        aiokafka asks of a partition that is gone until its time is up (40 s), and a rebalance
        waits meanwhile; then it fails for all of them.
        """
        left = {TopicPartition(*tp) for tp in partitions}
        deadline = monotonic() + self._ensure_consumer()._request_timeout_ms / 1000  # noqa: SLF001
        while left:
            try:
                found = await ask(list(left), OFFSETS_SECONDS * 1000)
            except (KafkaTimeoutError, UnknownError) as error:
                if isinstance(error, UnknownError):  # a broker's own trouble, which may pass
                    await asyncio.sleep(TROUBLE_SECONDS)
                # Without an answer, it has refreshed its metadata.
                known = self.known_partitions({tp.topic for tp in left})
                gone = {tp for tp in left if tp.partition >= known[tp.topic]}
                if not gone and monotonic() > deadline:
                    raise
                left -= gone
            else:
                return {TP(*tp): offset for tp, offset in found.items()}
        return {}

    def known_partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions the consumer knows of each topic; 0 of one that it does not know."""
        cluster = self._ensure_consumer()._client.cluster  # noqa: SLF001
        return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has; None of one that the consumer does not know yet.

        Faust says 0 then. When the worker makes the guard's changelog, and joins before the
        metadata tell of it, Faust would take the first document that is stored for one of a table
        whose topics do not fit, and end the worker.
        """
        return super().topic_partitions(topic) or None

    async def refresh_metadata(self) -> None:
        """Refresh the metadata now, instead of when they expire.

        If they differ, the group rejoins.
        """
        await self.call_thread(self._refresh_metadata)

    async def _refresh_metadata(self) -> None:
        await self._ensure_consumer()._client.force_metadata_update()  # noqa: SLF001

    def _send_back(self, consumer: Any, partitions: Iterable[TP]) -> None:
        subscription = consumer._subscription.subscription  # noqa: SLF001
        assignment = subscription and subscription.assignment
        if not assignment or not assignment.active:
            return
        ledger = self._delivery.ledger
        now = monotonic()
        for tp in partitions:
            expected = ledger.position(tp)
            state = assignment.state_value(tp)
            if expected is None or state is None or not state.has_valid_position:
                continue
            if state.position <= expected:
                continue
            # A hole at the log's end (a transaction's marker) looks the same and costs a small
            # fetch each time: hence not without a pause.
            if now - self._sought.get(tp, -SOUGHT_AGAIN) >= SOUGHT_AGAIN:
                self._sought[tp] = now
                consumer.seek(TopicPartition(*tp), expected)
