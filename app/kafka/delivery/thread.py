"""What happens in the thread in which aiokafka runs: fetches, seeks, commits, look-ups of offsets.

Each overriding method says what Faust's does. They depend on the internals of Faust and aiokafka,
so their versions are pinned, and `python -m dev.internals` shows what a new version changes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aiokafka.errors import IllegalStateError, KafkaError, KafkaTimeoutError, UnknownError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from app.kafka import topic_ids
from app.kafka.delivery import epochs
from app.kafka.delivery.epochs import End
from app.kafka.delivery.notes import Note
from app.kafka.leaders import leader_of
from app.kafka.patches.abandoned_commits import drop_abandoned_commits
from app.kafka.patches.changed_subscriptions import notice_changed_subscriptions
from app.kafka.patches.closed_fetches import close_all
from app.kafka.patches.committed_offsets import watch_committed_offsets
from app.kafka.patches.fetched_batches import Fetched, Reassigned, unpack_chunks
from app.kafka.patches.new_leaders import NewLeaders, Read
from app.kafka.patches.refused_fetches import Fetches
from app.kafka.patches.refused_joins import Membership
from app.kafka.patches.refused_offsets import Refused, set_refused_aside
from app.kafka.patches.stopping_members import join_no_more
from app.kafka.patches.waiting_fetches import fetch_apart
from app.process.errors import StartError

if TYPE_CHECKING:
    from app.kafka.delivery.consumer import Consumer

Answer = TypeVar("Answer")

COMMIT_DEADLINE = 5.0
"""Time-out of a commit in seconds. The next commit includes what this one missed."""

OFFSETS_SECONDS = 3.0
"""Seconds that Kafka gets to answer where logs begin and end. After that the consumer checks
whether the partitions still exist, and asks again.
"""

TROUBLE_SECONDS = 0.5
"""Seconds between two look-ups of offsets that a broker fails to answer."""

NEW_LEADER_SECONDS = 2.0
"""Seconds that a new leader may need to learn its high watermark. Until then a broker older than
2.1 may report a log end before the offset that the group has committed; later ones refuse to answer
(KIP-207). And those that one which has stood still may need to learn that it leads no more.
"""

UNANSWERED_SECONDS = 5.0
"""Seconds after which a leader that does not say what it has is named."""

LOOK_SECONDS = 1.0
"""Seconds after which a waiting fetch checks whether the set of partitions to fetch has changed."""

SOUGHT_AGAIN = 5.0
"""Seconds between two seeks of the same partition back to where the ledger stands."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka's consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused: Refused = {}
        self._sought: dict[TP, float] = {}
        self._sent_back: frozenset[TP] = frozenset()
        self._shelf: Fetched | None = None
        self._leaders = NewLeaders(self._ask_new_leader)
        self._replaced: set[tuple[str, bytes]] = set()
        self._noted: Mapping[TP, Read] = {}
        self.noted_topics: Mapping[TP, bytes] = {}
        """The ids of the topics that the group's committed offsets are of, as far as they were
        committed with them: as of the last `seek_to_committed`.
        """
        self.began_in = 0
        """How many times partitions had been revoked when the last fetch began."""
        self.fetches = Fetches(self._say)
        self.membership = Membership(self._delivery.transport.kafka, self._end, self._say)

    async def _keepalive2(self) -> None:
        """Does nothing: mode's wakes both threads every second to measure its own delay.

        A thread that hangs is noticed by its effects: the group drops the member, and the worker's
        progress stops.
        """

    @Service.task
    async def _thread_keepalive(self) -> None:
        """Does nothing: mode's wakes the thread every second to look at its queue.

        Whoever puts something there wakes it anyway (`call_soon_threadsafe`).
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
        drop_abandoned_commits(coordinator)
        fetch_apart(consumer._client)  # noqa: SLF001
        self.fetches.watch(consumer)
        set_refused_aside(coordinator, self._refused)
        join_no_more(coordinator, lambda: self.app.should_stop)
        kafka, sieve = self._delivery.transport.kafka, self._delivery.transport.sieve
        close_all(consumer._fetcher)  # noqa: SLF001
        self._shelf = unpack_chunks(
            consumer._fetcher,  # noqa: SLF001
            self._delivery.delivers_chunks,
            kafka.max_record_bytes,
            kafka.fetch_bytes,
            sieve.sift if sieve else None,
            leaders=self._leaders,
        )

    def _stopped_set(self) -> None:
        # After a crash the thread may have ended before it is told to.
        if not self.thread_loop.is_closed():
            super()._stopped_set()

    def close(self) -> None:
        """Does nothing: Faust's closes what belongs to this thread in another one, the main one.

        It is called for a rebalance that comes while the worker stops (see `stopping_members`).
        This thread stops its consumer itself, after that.
        """

    def epoch_before(self, tp: TP, offset: int) -> int | None:
        """The epoch of the last record before an offset, if it is known; any thread may ask."""
        return self._leaders.epoch_before(tp, offset)

    async def commit_what_can(self, offsets: Mapping[TP, int], notes: Mapping[TP, Note]) -> Refused:
        """Commit within `COMMIT_DEADLINE`; returns the partitions whose offset was not committed.

        Replaces Faust's `commit`, which waits as long as Kafka answers with an error that may pass.

        Args:
            offsets: to commit, of which those of partitions that are not assigned are left out.
            notes: what is known of the logs that they are offsets of. It was taken with them: by
                now the partition may be read from elsewhere, and up to another epoch.
        """
        left: Refused = await self.call_thread(self._commit_what_can, offsets, notes)
        return left

    async def _commit_what_can(
        self, offsets: Mapping[TP, int], notes: Mapping[TP, Note]
    ) -> Refused:
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {
            TopicPartition(*tp): OffsetAndMetadata(offset, str(notes.get(tp, Note())))
            for tp, offset in offsets.items()
            if tp in assigned
        }
        self._refused.clear()
        try:
            async with asyncio.timeout(COMMIT_DEADLINE):
                await consumer.commit(wanted)
        except (TimeoutError, KafkaError) as error:
            # Either Kafka is unreachable or in trouble, and the next commit tries again, or the
            # group has rebalanced, and these records are delivered again. If it lasts, the worker
            # makes no progress, which ends it with a reason.
            return {tp: type(error) for tp in offsets}
        return dict(self._refused)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Any:
        """Fetch each partition from the ledger's position, whatever aiokafka's own position is.

        aiokafka advances when it hands records over, and Faust drops some of those around a
        rebalance. Dropped records would otherwise be fetched again only once a later record reveals
        the gap, and never if the traffic has ended.

        While it waits, it checks the positions and the set of partitions every `LOOK_SECONDS`.

        It ends with the assignment in which it began. What it takes then is dropped, and nothing
        would bring the entries of a table's changelog again.
        """
        until = monotonic() + (timeout or 0)
        self.began_in = self._delivery.assignments
        if self._shelf is not None:
            self._shelf.assignment = _assignment(consumer)
        while True:
            wanted = tuple(active_partitions)  # at once: the other thread may add some meanwhile
            if self._shelf is not None:
                self._shelf.hand_over(wanted, monotonic())
            self.fetches.try_again()
            self._send_back(consumer, wanted)
            wait = min(LOOK_SECONDS, max(0.0, until - monotonic()))
            try:
                fetched = await super()._fetch_records(
                    consumer, active_partitions, wait, max_records
                )
            except Reassigned:
                # aiokafka counts this fetch as under way for ever, which is only for the longest
                # time between two of them: weeks here.
                return {}
            others = self.should_stop or not self._delivery.fetches_all(active_partitions)
            if fetched or others or monotonic() >= until:
                return fetched

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        """Seek; raises `IllegalStateError` if one of the partitions has been revoked.

        While nothing is assigned, as after a new subscription, aiokafka would fail an assertion
        instead, and that would end the worker.
        """
        if not partitions.keys() <= self.assignment():
            raise IllegalStateError("a partition to seek was revoked")
        await super()._seek_wait(consumer, partitions)
        self._look_again(())  # ends a fetch that still waits for records of the assignment before

    def look_again(self, added: Iterable[TP]) -> None:
        """Make a waiting fetch start over, with further partitions."""
        if not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(self._look_again, added)

    def _look_again(self, added: Iterable[TP]) -> None:
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        if self._shelf is not None:
            self._shelf.want(added, monotonic())
        for waiter in tuple(fetcher._fetch_waiters):  # noqa: SLF001
            fetcher._notify(waiter)  # noqa: SLF001

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the committed offsets and return them; nothing without an assignment.

        aiokafka's method fails an assertion when nothing is assigned, and asks for one partition
        after the other. What the commits' metadata say of topics is in `noted_topics`.
        """
        committed: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return committed

    async def _seek_to_committed(self) -> Mapping[TP, int | None]:
        assigned = self.assignment()
        consumer = self._ensure_consumer()
        entries = await consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001
            [TopicPartition(*tp) for tp in assigned]
        )
        self._leaders.forget()
        committed: dict[TP, int | None] = dict.fromkeys(assigned)
        topics, read = {}, {}
        # The assignment may have been revoked meanwhile, and aiokafka seeks in nothing else.
        still = self.assignment()
        for tp, entry in entries.items():
            committed[TP(*tp)] = entry.offset
            note = Note.read(entry.metadata)
            if note.topic is not None:
                topics[TP(*tp)] = note.topic
            if note.epoch is not None:
                read[TP(*tp)] = Read(entry.offset, note.epoch)
            if entry.offset > 0 and tp in still:
                consumer.seek(tp, entry.offset)
        self.noted_topics, self._noted = topics, read
        return committed

    async def overwritten(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """The offsets from which on partitions have other records than those that were read.

        Contains the partitions whose log was cut before the committed offset, as of the last
        `seek_to_committed`, as far as their leaders tell (see `epochs.cut`).
        """
        found: Mapping[TP, int] = await self.call_thread(self._overwritten, partitions)
        return found

    async def _overwritten(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        known = {tp: self._noted[tp] for tp in partitions if tp in self._noted}
        # Commits that precede the next fetched batch carry these, whatever leaders tell of them.
        for tp, read in known.items():
            self._leaders.read_from(tp, read.offset, read.epoch)
        cuts = await self._cuts(known.keys())
        found = {tp: cut for tp, cut in cuts.items() if cut is not None}
        for tp, cut in found.items():
            self._leaders.go_back(tp, cut)
        return found

    async def _cuts(self, partitions: Iterable[TP]) -> Mapping[TP, int | None]:
        """From where on logs may have other records (`epochs.cut`), as far as leaders answer."""
        read = {tp: history for tp in partitions if (history := self._leaders.history(tp))}
        known = {tp: history[-1].epoch for tp, history in read.items()}
        asked = {tp: epoch for tp, epoch in known.items() if epoch is not None}
        ends = await self._ends(asked) if asked else {}
        found: dict[TP, int | None] = {}
        for tp, end in ends.items():
            cut = epochs.cut(read[tp], end)
            if cut is not None:
                self._leaders.lacks_end(tp, read[tp][-1], cut.epoch)
            found[tp] = None if cut is None else cut.offset
        return found

    async def _ends(self, asked: Mapping[TP, int]) -> Mapping[TP, End | None]:
        """Where epochs end, as far as leaders answer; what one does not know is asked for again.

        A broker that has stood still may not have heard yet that another one leads, and knows
        nothing of its epoch. Kafka's client for Java says which leader it takes it for, so that it
        is refused; aiokafka's metadata do not tell that.
        """
        client = self._ensure_consumer()._client  # noqa: SLF001
        ends = await epochs.ends(client, asked)
        unknown = {tp: asked[tp] for tp, end in ends.items() if end and end.epoch < 0}
        if not unknown:
            return ends
        await self.sleep(NEW_LEADER_SECONDS)
        await self._look_for_leaders()
        known = {tp: end for tp, end in ends.items() if tp not in unknown}
        return known | await epochs.ends(client, unknown)

    async def _look_for_leaders(self) -> None:
        client = self._ensure_consumer()._client  # noqa: SLF001
        with suppress(TimeoutError):
            async with asyncio.timeout(OFFSETS_SECONDS):
                await client.force_metadata_update()

    def _ask_new_leader(self, tp: TP, read: Read, held: int) -> None:
        self.add_future(self._new_leader_has(tp, read, held))

    async def _new_leader_has(self, tp: TP, read: Read, held: int) -> None:
        """Hand over what a new leader wrote, or have the consumer go back to where that begins."""
        began, said = monotonic(), False
        while True:
            found = await self._compared(tp, read, held)
            if not self._leaders.waits(tp, read) or self.should_stop:
                return  # positions have been set anew
            if found is not None:
                break
            if not said and monotonic() - began >= UNANSWERED_SECONDS:
                said = True
                self._say(
                    f"The leader of {tp.topic}/{tp.partition} does not say whether it has all that "
                    f"was read up to offset {read.offset}: what it has beyond that waits until it "
                    "does"
                )
            await self.sleep(TROUBLE_SECONDS)
            await self._look_for_leaders()
        cut, epoch = found
        if cut is None and epoch != held and self._leaders.denied_first(tp, read, held):
            if self._shelf is not None:
                self._shelf.pop(TopicPartition(*tp), None)
            self._look_again(())
            return
        if cut is None and epoch != held and not self._leaders.went_back(tp, read):
            self._say(
                f"The leader of {tp.topic}/{tp.partition} has no batch of epoch {held} at offset "
                f"{read.offset}, where one was fetched twice: it is damaged, or was fetched from "
                "another leader. It is read; should leaders have been elected uncleanly meanwhile, "
                "`persister audit` tells whether records are missing"
            )
        if said:
            self._say(f"The leader of {tp.topic}/{tp.partition} says what it has")
        if cut is None:
            self._leaders.go_on(tp, read, epoch)
            self._look_again(())
        else:
            self.app.loop.call_soon_threadsafe(self._delivery.lost_end, tp, cut)

    async def _compared(
        self, tp: TP, read: Read, held: int
    ) -> tuple[int | None, int | None] | None:
        """Whether a leader has what was read; None until it has said all that is asked.

        Returns:
            The offset from which on it has other records, not before its log begins; None if it has
            all. Then also the epoch that its next batch is of: `held`, or None if the leader does
            not have that there.
        """
        if history := self._leaders.history(tp):
            cuts = await self._cuts([tp])
            if tp not in cuts:
                return None
            if (cut := cuts[tp]) is not None:
                return await self._lacking(tp, history[-1], cut)
        return await self._believed(tp, read, held)

    async def _lacking(self, tp: TP, read: Read, cut: int) -> tuple[int | None, None] | None:
        """As `_compared`, where the leader lacks some of what was read: see `epochs.cut`."""
        if self._leaders.went_back(tp, read):
            self._say(
                f"The leader of {tp.topic}/{tp.partition} says once more that it lacks some of "
                f"what was read up to offset {read.offset}, which was read again because of that: "
                "reading on"
            )
            return None, None
        extents = await self._extents_of([TopicPartition(*tp)])
        return (max(cut, extents[tp][0]), None) if tp in extents else None

    async def _believed(self, tp: TP, read: Read, held: int) -> tuple[None, int | None] | None:
        """As `_compared`, where the leader has what was read, as far as that is known."""
        told = await self._ends({tp: held})
        if tp not in told:
            return None
        end = told[tp]
        before = self._leaders.history(tp)
        rises = not before or (before[-1].epoch or 0) <= held
        has = end is None or (rises and end.epoch == held and end.offset > read.offset)
        return None, held if has else None

    def unanswered(self) -> frozenset[TP]:
        """Partitions that wait until their leader says what it has; any thread may ask."""
        return self._leaders.waiting()

    async def lost_from(self, tp: TP) -> int | None:
        """The offset from which on the log has lost what was read; None if nobody says so."""
        if self.thread_loop.is_closed():
            return None
        return await self._beside(self._lost_from(tp))

    async def _lost_from(self, tp: TP) -> int | None:
        return (await self._cuts([tp])).get(tp)

    def goes_back(self, tp: TP, offset: int, *, recreated: bool) -> None:
        """Note that a partition is about to be sought back to an offset.

        Args:
            tp: the partition.
            offset: from which on the log has other records than those that were read.
            recreated: whether it is another log, in which the epoch means nothing.
        """
        if not self.thread_loop.is_closed():
            self.thread_loop.call_soon_threadsafe(self._goes_back, tp, offset, recreated)

    def _goes_back(self, tp: TP, offset: int, recreated: bool) -> None:  # noqa: FBT001 - by position
        if recreated:
            self._leaders.read_from(tp, offset, None)
        else:
            self._leaders.go_back(tp, offset)

    async def without_commit(self, partitions: Collection[TP]) -> set[TP]:
        """Those of the partitions for which the group has committed no offset.

        Raises:
            KafkaError: a broker did not answer.
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

    async def topic_ids(
        self, partitions: Collection[TP], known: Mapping[TP, bytes]
    ) -> Mapping[TP, bytes]:
        """The ids of the topics that partitions belong to now, as far as brokers tell.

        An id that was replaced by another one is not believed any more.

        Args:
            partitions: those to ask about.
            known: the ids that they had before, as far as known.
        """
        if self.thread_loop.is_closed():
            return {}
        return await self._beside(self._topic_ids(partitions, dict(known)))

    async def _topic_ids(
        self, partitions: Collection[TP], known: Mapping[TP, bytes]
    ) -> Mapping[TP, bytes]:
        told = await topic_ids.ids(self._ensure_consumer()._client, partitions, known)  # noqa: SLF001
        found = {tp: topic for tp, topic in told.items() if (tp.topic, topic) not in self._replaced}
        self._replaced |= {
            (tp.topic, known[tp]) for tp, topic in found.items() if known.get(tp, topic) != topic
        }
        return found

    async def rejoin(self) -> None:
        """Make the group rebalance, which resets all positions."""
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
        """Where the logs begin; omits partitions that no longer exist."""
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        found: dict[TP, int] = await self.call_thread(
            self._existing_offsets, fetcher.beginning_offsets, partitions
        )
        return found

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """Where the logs end; omits partitions that no longer exist."""
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        found: dict[TP, int] = await self.call_thread(
            self._existing_offsets, fetcher.end_offsets, partitions
        )
        return found

    async def extents(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """Where the logs of partitions begin and where they end.

        Leaders are asked apart from each other, and beside the other calls, of which the thread
        takes two at a time: one is the fetch that waits for records, and behind a look-up in a log
        without a leader nothing would be sought or committed.

        A leader is asked for all of its partitions at once, and aiokafka tells either of all or of
        none. So what is left after that is asked for partition by partition, at least once, and of
        those that lead by then.

        Returns:
            What Kafka tells within some `OFFSETS_SECONDS`: nothing of a partition that is gone or
            has no leader, or of which its leader tells nothing.
        """
        if self.thread_loop.is_closed():
            return {}
        return await self._beside(self._extents(set(partitions)))

    async def _extents(self, left: set[TP]) -> dict[TP, tuple[int, int]]:
        until = monotonic() + OFFSETS_SECONDS
        found = await self._extents_of_each(self._by_leader(left))
        left -= found.keys()
        asked_apart = False
        while left and not (asked_apart and monotonic() >= until):
            await asyncio.sleep(TROUBLE_SECONDS)
            await self._look_for_leaders()
            known = self.known_partitions({tp.topic for tp in left})
            left = {tp for tp in left if tp.partition < known[tp.topic]}
            led = chain.from_iterable(self._by_leader(left))
            found |= await self._extents_of_each([tp] for tp in led)
            left -= found.keys()
            asked_apart = True
        return found

    def _by_leader(self, partitions: Iterable[TP]) -> Collection[list[TopicPartition]]:
        """Those that have a leader, those of each together."""
        client = self._ensure_consumer()._client  # noqa: SLF001
        led: defaultdict[int, list[TopicPartition]] = defaultdict(list)
        for tp in partitions:
            if (leader := leader_of(client, tp)) is not None:
                led[leader].append(TopicPartition(*tp))
        return led.values()

    async def _extents_of_each(
        self, together: Iterable[list[TopicPartition]]
    ) -> dict[TP, tuple[int, int]]:
        told = await asyncio.gather(*map(self._extents_of, together))
        return {tp: extent for one in told for tp, extent in one.items()}

    async def _extents_of(self, partitions: list[TopicPartition]) -> dict[TP, tuple[int, int]]:
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001
        try:
            earliest = await fetcher.beginning_offsets(partitions, OFFSETS_SECONDS * 1000)
            ends = await fetcher.end_offsets(partitions, OFFSETS_SECONDS * 1000)
        except KafkaError:
            return {}
        return {TP(*tp): (earliest[tp], ends[tp]) for tp in partitions}

    async def _beside(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self.thread_loop))

    async def _existing_offsets(
        self, ask: Callable[[list[TopicPartition], float], Any], partitions: Iterable[TP]
    ) -> dict[TP, int]:
        """Look up offsets, leaving out partitions that turn out to be gone.

        For a partition that no longer exists, aiokafka retries until its request time-out (40 s)
        and then fails for all of them, while a rebalance waits.
        """
        left = {TopicPartition(*tp) for tp in partitions}
        deadline = monotonic() + self._ensure_consumer()._request_timeout_ms / 1000  # noqa: SLF001
        while left:
            try:
                found = await ask(list(left), OFFSETS_SECONDS * 1000)
            except (KafkaTimeoutError, UnknownError) as error:
                if isinstance(error, UnknownError):  # a broker's own trouble, which may pass
                    await asyncio.sleep(TROUBLE_SECONDS)
                # aiokafka has refreshed its metadata by now.
                known = self.known_partitions({tp.topic for tp in left})
                gone = {tp for tp in left if tp.partition >= known[tp.topic]}
                if not gone and monotonic() > deadline:
                    raise
                left -= gone
            else:
                return {TP(*tp): offset for tp, offset in found.items()}
        return {}

    def known_partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each topic has in the consumer's metadata; 0 if it is unknown."""
        cluster = self._ensure_consumer()._client.cluster  # noqa: SLF001
        return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}

    def topic_partitions(self, topic: str) -> int | None:
        """How many partitions a topic has; None if the consumer does not know it yet.

        Faust's returns 0 then. When the worker has just created the guard's changelog, and joins
        before its metadata includes it, Faust would take that 0 for a table whose topics do not
        match, and end the worker at the first stored document.
        """
        return super().topic_partitions(topic) or None

    async def refresh_metadata(self) -> None:
        """Refresh the metadata now, instead of when it expires.

        If it has changed, the consumer rejoins the group.
        """
        await self.call_thread(self._refresh_metadata)

    async def _refresh_metadata(self) -> None:
        await self._ensure_consumer()._client.force_metadata_update()  # noqa: SLF001

    def sent_back(self) -> frozenset[TP]:
        """Where aiokafka stood past the ledger since the last call; any thread may ask."""
        found, self._sent_back = self._sent_back, frozenset()
        return found

    def _send_back(self, consumer: Any, partitions: Iterable[TP]) -> None:
        assignment = _assignment(consumer)
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
            # A hole at the end of the log, such as a transaction marker, looks the same, and each
            # seek costs a small fetch: hence the pause.
            if now - self._sought.get(tp, -SOUGHT_AGAIN) >= SOUGHT_AGAIN:
                self._sought[tp] = now
                try:
                    consumer.seek(TopicPartition(*tp), expected)
                except (IllegalStateError, ValueError) as error:
                    self._say(f"Cannot read {tp.topic}/{tp.partition} from {expected} on: {error}")
                    continue
                self._sent_back |= {tp}


def _assignment(consumer: Any) -> Any:
    """The present assignment, as aiokafka has it; None without one."""
    subscription = consumer._subscription.subscription  # noqa: SLF001
    return subscription and subscription.assignment
