"""Faust's consumer, changed to deliver chunks and to commit only gapless finished work.

Each overriding method says what Faust's does. They depend on Faust's internals, so its version is
pinned, and `python -m dev.internals` shows what a new version changes.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.conductor import Conductor as FaustConductor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage
from mode import Service
from mode.utils.locks import Event

from app.kafka.delivery import resume
from app.kafka.delivery.chunk import Chunk
from app.kafka.delivery.ledger import NOTHING, Rewind
from app.kafka.delivery.notes import Note
from app.kafka.delivery.own_progress import OwnProgress
from app.kafka.delivery.thread import NEW_LEADER_SECONDS, TROUBLE_SECONDS, ConsumerThread
from app.kafka.delivery.topic import ChunkTopic
from app.process.words import counted

if TYPE_CHECKING:
    from app.kafka.delivery.transport import Transport

ON_THE_WAY_SECONDS = 1.0
"""Longest time that a delivered chunk needs to reach its agent when no other waits there."""

REVOKE_DEADLINE = 3.0
"""Seconds that in-flight work gets when partitions are revoked. The whole group waits for it."""

LEADER_SECONDS = 5.0
"""Seconds between two looks whether partitions have leaders by now."""

NO_IDS: Mapping[TP, bytes] = {}
"""Of topics: brokers tell none."""

TRIES = 10
"""Of questions for offsets that a broker answers with what cannot be."""

IDLE_SECONDS = 5.0
"""Seconds that a fetch waits for records. Faust's waits one second, and each wait costs a call from
one thread to the other.
"""

COMMIT_SOON = 0.2
"""Seconds from the first finished chunk after a pause to the commit. A single record finishes
within them on its own topic and on the internal one, so that one commit is enough.
"""


class ReadOffsets(dict[TP, int | None]):
    """Answers None for partitions that are delivered as chunks.

    Faust drops every record below the last offset that it recorded as read. It records an offset
    only after the delivery, which may have to wait for a rebalance; records that are fetched again
    after that rebalance are then dropped. For chunks the ledger decides instead.
    """

    def __init__(self, consumer: "Consumer") -> None:
        super().__init__()
        self._consumer = consumer

    def __getitem__(self, tp: TP) -> int | None:
        return None if self._consumer.delivers_chunks(tp) else self.get(tp)


class Consumer(driver.Consumer):
    """Delivers chunks of topics that agents read as `ChunkTopic`; others as Faust does."""

    transport: "Transport"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ledger = self.transport.ledger
        self._read_offset = ReadOffsets(self)
        self._revoking = False
        self.assignments = 0
        """How many times partitions have been revoked."""
        self._sought: tuple[Mapping[TP, int], Mapping[TP, int | None]] | None = None
        self._stop_deadline: float | None = None
        self._group_offsets: dict[TP, int | None] = {}
        self._topics: dict[TP, bytes] = {}
        """The ids of the topics that positions are in, as far as known."""
        self._start_over: set[TP] = set()
        """Partitions of re-created topics, whose start the next commit includes."""
        self._notes: Mapping[TP, Note] = {}
        """What is known of the logs that the commit under way has offsets of."""
        self._own = OwnProgress(self.ledger, lambda: self.app.consumer_generation_id)
        self._ready: set[TP] = set()
        self._held: set[TP] = set()
        self._freed = Event()
        self._paused: set[TP] = set()
        self._releasing: set[TP] = set()
        self._finding_out: dict[TP, int | None] = {}
        self._uncommitted: set[TP] = set()
        self._finished = Event()
        self._parts: set[Chunk] = set()
        """Parts of chunks that agents have and have not finished."""
        self._handing_out = Event()
        self._handing_out.set()
        self._chunked: set[str] = set()

    @property
    def thread(self) -> ConsumerThread:
        """The thread in which aiokafka runs."""
        return cast("ConsumerThread", self._thread)

    @property
    def _conductor(self) -> FaustConductor:
        return cast("FaustConductor", self.app.topics)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def delivers_chunks(self, tp: TP) -> bool:
        """Tell whether the topic is read through a `ChunkTopic`; any thread may ask.

        Not by Faust's index of topics alone: it is empty for a while whenever there is a new topic.
        What is fetched meanwhile would be delivered as Faust does, past the ledger.
        """
        if tp.topic in self._chunked:
            return True
        # Copies, each made in one step: another thread may be filling these.
        indexed = tuple(self._conductor._topic_name_index.get(tp.topic, ()))  # noqa: SLF001
        channels = indexed or [
            channel
            for channel in tuple(self._conductor._topics)  # noqa: SLF001
            if tp.topic in channel.topics
        ]
        if any(isinstance(channel, ChunkTopic) for channel in channels):
            self._chunked.add(tp.topic)
            return True
        return False

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Any:
        """Fetch lists of records and turn those of chunked topics into chunks.

        Faust's fetches every active partition, whatever still waits in front of the agents. This
        one fetches a partition only when nothing waits in the stream that reads it, which bounds
        memory and keeps an agent that waits for the database from delaying the others. It also
        leaves out partitions that the app holds, and those whose position is not known yet.
        """
        active = active_partitions or set()
        await self._take_back_dropped(active)
        self._look_at_released(active)
        for tp in self.thread.sent_back() & active:
            self._find_out(tp)
        ready = {tp for tp in active if self._may_be_fetched(tp)}
        self._ready, self._held = ready, active - ready
        if not ready:
            self._freed.clear()
            await self.wait(self._freed, timeout=timeout)
            return {}
        fetched = await super()._getmany(ready, max(timeout, IDLE_SECONDS))
        self._held = set()
        if self.thread.began_in != self.assignments:
            return {}  # positions have been set anew, or are about to be
        taken = {TP(*tp): await self._as_chunk(TP(*tp), records) for tp, records in fetched.items()}
        return {tp: records for tp, records in taken.items() if self._still_next(tp, records)}

    def fetches_all(self, ready: set[TP]) -> bool:
        """Whether `ready` still is every partition that may be fetched; any thread may ask."""
        held = self.transport.callbacks.held
        return self.flow_active and ready == self._active_partitions and not any(map(held, ready))

    async def _take_back_dropped(self, partitions: set[TP]) -> None:
        """Fetch chunks again that Faust dropped on their way to the agent: a safety net.

        Faust drops records silently in three places: deliveries that a rebalance cuts short, queues
        that it empties, and streams that skip records of another generation. In every known case
        the positions are reset as well (see `resume_flow`). An unknown one would leave a partition
        uncommitted until the judge of progress ends the worker, a minute later. The check costs one
        look-up per partition and fetch. If it ever finds something, that is a defect, and the fault
        suite counts it as one.
        """
        for tp in tuple(partitions):  # some may be revoked while one is sought
            chunk = self.ledger.untaken(tp)
            if chunk is None or self._waiting(tp):
                continue
            if monotonic() - chunk.delivered_at > ON_THE_WAY_SECONDS:
                offset = chunk.first_offset
                self.log.warning(
                    "A rebalance has dropped records of %s/%d from offset %d on, on their way to "
                    "the agent: reading them again.",
                    *(tp.topic, tp.partition, offset),
                )
                self.ledger.take_back(tp, offset)
                await self._rewind(tp, offset)

    def taken(self, chunk: Chunk) -> None:
        """Note that a chunk has reached its agent, and fetch what was held because of it."""
        chunk.taken = True
        self._free()

    async def may_hand_out(self) -> None:
        """Wait while partitions are being revoked; for ever if the worker stops.

        Who waits for work in flight would otherwise be handed further parts of it meanwhile.
        """
        await self._handing_out.wait()

    def hand_out(self, part: Chunk) -> None:
        """Note that a part of a chunk goes to its agent."""
        self._parts.add(part)

    def _free(self) -> None:
        """Fetch at once the held partitions that may be fetched by now."""
        freed = {tp for tp in self._held if self._may_be_fetched(tp)}
        if freed:
            self._held -= freed
            # In place, because the thread is waiting for records of this very set.
            self._ready |= freed
            self._freed.set()
            self.thread.look_again(freed)

    def _may_be_fetched(self, tp: TP) -> bool:
        if self.transport.callbacks.held(tp):
            self._paused.add(tp)
        held = tp in self._paused or self._finding_out.get(tp) is not None
        return not held and self._placed(tp) and not self._waiting(tp)

    def _look_at_released(self, active: set[TP]) -> None:
        """Reset the positions of a topic that was re-created while the app held it.

        Fetches notice when a topic is gone, but a held topic is not fetched. If it is re-created
        between two metadata refreshes, the new topic looks like the old one, and would be read from
        the old offset. What gives it away is its id or, with brokers that tell none, that Kafka
        deletes a topic's committed offsets with the topic. It stays paused until Kafka answers; the
        others go on.
        """
        held = self.transport.callbacks.held
        released = {tp for tp in self._paused - self._releasing if not held(tp)}
        if released:
            committed = {tp for tp in released & active if self._group_offsets.get(tp) is not None}
            self._releasing |= released
            self.add_future(self._release(released, committed))

    async def _release(self, released: set[TP], committed: set[TP]) -> None:
        try:
            untold = committed - await self._look_for_recreated(committed)
            without = await self.thread.without_commit(untold) if untold else set()
        except (KafkaError, TimeoutError):
            return  # the next fetch asks again
        finally:
            self._releasing -= released
        self._paused -= released
        if recreated := {tp for tp in without if self.ledger.position(tp) is not None}:
            await self._read_anew(recreated)
        self._free()

    def _find_out(self, tp: TP, came: int | None = None) -> None:
        """Find out why a partition has no records at its position, while the others go on.

        Kafka takes seconds to say where a log begins and ends, and longer if it has no leader.
        Until then a partition of which other records came is not fetched.

        Args:
            tp: the partition.
            came: the offset of the first record that came instead. Without any, aiokafka stands
                where the log begins, past the ledger, and a loss of all records would be noticed
                only with the next one.
        """
        if tp not in self._finding_out:
            self.add_future(self._found_out(tp, self.assignments, self.ledger.position(tp)))
        if came is not None or tp not in self._finding_out:
            self._finding_out[tp] = came

    async def _found_out(self, tp: TP, assignments: int, expected: int | None) -> None:
        recreated = cut = None
        try:
            # If nobody tells, the next fetch, or the next seek, asks again.
            extent = (await self.thread.extents([tp])).get(tp)
            if expected is not None and extent is not None and extent[1] < expected:
                recreated, ids = await self._is_recreated(tp)
                # The epochs of a topic that was re-created start over, and mean nothing here.
                cut = await self.thread.lost_from(tp) if recreated is False else None
        finally:
            came = self._finding_out.pop(tp)
        unchanged = (assignments, expected) == (self.assignments, self.ledger.position(tp))
        if extent is not None and expected is not None and unchanged:
            if recreated:
                await self._read_anew([tp], ids)
            elif passed := resume.passed(expected, *extent, came, cut, recreated=recreated):
                self._go_on(tp, passed)
        if came is not None and self._placed(tp):
            await self._rewind(tp, self.ledger.position(tp) or 0)
        self._free()

    async def _is_recreated(self, tp: TP) -> tuple[bool | None, Mapping[TP, bytes]]:
        """Whether a topic is another one than was read, if that is known, and the id it has now."""
        known = {tp: topic} if (topic := self._topics.get(tp)) else {}
        ids = await self.thread.topic_ids([tp], known)
        return (ids[tp] != topic if topic and tp in ids else None), ids

    def lost_end(self, tp: TP, cut: int) -> None:
        """Read a partition from `cut` on: a new leader has other records there."""
        self.add_future(self._lost_end(tp, cut, self.assignments))

    async def _lost_end(self, tp: TP, cut: int, assignments: int) -> None:
        recreated, ids = await self._is_recreated(tp)
        position = self.ledger.position(tp)
        if self.assignments != assignments or position is None:
            return  # it is noticed when the position is set
        if recreated:
            await self._read_anew([tp], ids)
            return
        if cut < position:
            self._go_on(tp, resume.Start(cut, resume.Overwritten(position, cut)))
        else:
            self.thread.goes_back(tp, cut, recreated=False)
        await self._rewind(tp, self.ledger.position(tp) or 0)

    def _go_on(self, tp: TP, start: resume.Start) -> None:
        """Go on elsewhere in a log, before the position or behind it; the caller seeks."""
        self._report(tp, start.change)
        if start.offset < (self.ledger.position(tp) or 0):
            self.ledger.go_back(tp, start.offset)
            recreated = isinstance(start.change, resume.Recreated)
            self.thread.goes_back(tp, self.ledger.position(tp) or 0, recreated=recreated)
        else:
            self.ledger.skip_to(tp, start.offset)
        self._finished.set()

    async def look_for_recreated(self) -> None:
        """Have the group rebalance if a topic has been re-created since its position was set.

        Fetches notice that a topic is gone (`refused_fetches`), unless it is re-created while Kafka
        is out of reach, or while the topic is held. Once the new topic is longer than what was read
        of the old one, only its id tells them apart. Whoever gets the partition then reads it from
        its start.
        """
        await self._look_for_recreated(self.assignment())

    async def _look_for_recreated(self, partitions: Iterable[TP]) -> set[TP]:
        """As `look_for_recreated`; returns the partitions of which brokers tell the topic's id."""
        placed = {tp for tp in partitions if self.ledger.position(tp) is not None}
        known = {tp: self._topics[tp] for tp in placed if tp in self._topics}
        told = await self.thread.topic_ids(placed, known)
        # Positions may have been set anew meanwhile, or forgotten.
        ids = {
            tp: topic
            for tp, topic in told.items()
            if self._topics.get(tp) == known.get(tp) and self.ledger.position(tp) is not None
        }
        recreated = {tp for tp, topic in ids.items() if known.get(tp, topic) != topic}
        if first := ids.keys() - known.keys():
            self._topics |= {tp: ids[tp] for tp in first}
            self.ledger.put_back(first)
            self._finished.set()
        if recreated:
            await self._read_anew(recreated, ids)
        return set(told)

    async def _read_anew(
        self, partitions: Collection[TP], ids: Mapping[TP, bytes] = NO_IDS
    ) -> None:
        """Have the group rejoin to read re-created topics from their start, which is committed.

        With the old offset the group has the old id, but a member of a version that commits no ids
        does not read it, and would go on at that offset. It is offset 0, not the earliest: nothing
        of the new topic has been read, and a broker that lags may still tell where the old log
        begins. If Kafka does not take it, the old id has to do.

        Args:
            partitions: of these topics.
            ids: that their topics have now, as far as brokers tell.
        """
        for tp in partitions:
            self.log.warning(
                "%s/%d was deleted and re-created: the group rejoins to read it from its start.",
                *(tp.topic, tp.partition),
            )
            self._topics.pop(tp, None)
        self._forget(partitions)
        assignments = self.assignments
        while await self.maybe_wait_for_commit_to_finish():
            pass  # it may be one of the old offset
        if self.assignments != assignments:
            return  # positions are set anew, and somebody may have read on from there
        self._start_over |= set(partitions)
        self._topics |= {tp: ids[tp] for tp in partitions if tp in ids}
        await self.commit()
        await self.thread.rejoin()

    def _placed(self, tp: TP) -> bool:
        return self.ledger.position(tp) is not None or not self.delivers_chunks(tp)

    def _waiting(self, tp: TP) -> bool:
        channels = self._conductor._tp_index.get(tp, ())  # noqa: SLF001
        return any(isinstance(chan, ChunkTopic) and not chan.queue.empty() for chan in channels)

    async def _as_chunk(self, tp: TP, records: list[Any]) -> list[Any]:
        if not self.delivers_chunks(tp):
            return records
        verdict = self.ledger.admit(tp, records)
        if isinstance(verdict, Rewind):
            await self._rewind(tp, verdict.offset)
            return []
        below = verdict == NOTHING and records and self.ledger.position(tp) is not None
        if below or verdict.hole is not None:
            self._find_out(tp, records[0].offset)
            return []
        return [Chunk(tp, verdict.records)] if verdict.records else []

    def _still_next(self, tp: TP, records: list[Any]) -> bool:
        """Whether a chunk still begins at its partition's position.

        A rebalance may have reset all positions while another partition of the same fetch was
        sought. The chunk is then discarded and fetched again: Faust would deliver it, because it
        stamps records with the generation only after this.
        """
        chunk = records[0] if records else None
        return not isinstance(chunk, Chunk) or self.ledger.position(tp) == chunk.first_offset

    async def _rewind(self, tp: TP, offset: int) -> None:
        try:
            await self.seek_wait({tp: offset})
        except IllegalStateError:
            # The partition was revoked, and its next owner starts at the committed offset.
            self._forget([tp])

    def _report(self, tp: TP, change: resume.Change | None) -> None:
        """Log what has happened to a partition's log, and count what is lost."""
        if change is None:
            return
        self.log.log(change.level, "%s", change.message(tp))
        if isinstance(change, resume.Expired):
            self.transport.callbacks.lost(tp, change.count)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        """Wrap a chunk; the message has the offset of the chunk's last record.

        The position advances only here, because this is where a chunk is really handed over: when a
        rebalance begins, Faust may drop whatever was fetched before.
        """
        if not isinstance(record, Chunk):
            return super()._to_message(tp, record)
        self.ledger.deliver(record)
        record.delivered_at = monotonic()
        last = record.records[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            cast("Any", record),
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    @Service.task
    async def _commit_handler(self) -> None:
        """Commit once per interval if a chunk was finished; Faust's wakes up in every interval."""
        while not self.should_stop:
            await self.wait(self._finished)
            await self.sleep(COMMIT_SOON)
            self._finished.clear()
            if await self.maybe_wait_for_commit_to_finish():
                # That commit may have begun before the last chunk was finished.
                self._finished.set()
            else:
                await self.commit()
            await self.sleep(self.commit_interval - COMMIT_SOON)

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Does nothing: Faust's reports a slow stream when records wait for the database.

        `/status` shows the lag and the state of the database instead.
        """

    def ack(self, message: Message) -> bool:
        """Mark a chunk as finished; Faust's adds its offset to a list of acknowledged ones."""
        self._finished.set()
        chunk = message.value
        if not isinstance(chunk, Chunk):
            return bool(super().ack(message))
        message.acked = True
        if not chunk.divided:
            self.finish(chunk)
        self._unacked_messages.discard(message)
        self._tell_waiting()
        return True

    def finish(self, chunk: Chunk) -> None:
        """Mark a chunk, or a part of one, as finished."""
        self._finished.set()
        chunk.finished = True
        self.transport.callbacks.finished(chunk)
        # Frees the records now: the chunk itself stays until those before it are finished, too.
        chunk.release()
        self._parts.discard(chunk)
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The end of the finished chunks at the head of each partition.

        Faust's `_new_offset` looks for gaps in the acknowledged offsets, and misses some: a single
        unfinished record at the head, any gap before the group's first commit, and unfinished
        records of topics with holes.

        What is known of a log is taken with its offset. Until they are sent, the worker may have
        gone back in the log, or read on in another one.
        """
        start_over, self._start_over = dict.fromkeys(self._start_over, 0), set()
        finished = self.ledger.committable()
        offsets = {**super()._filter_committable_offsets(tps), **start_over, **finished}
        self._notes = {
            tp: Note(self.thread.epoch_before(tp, offset), self._topics.get(tp))
            for tp, offset in offsets.items()
        }
        return offsets

    async def _commit_offsets(
        self,
        offsets: Mapping[TP, int],
        start_new_transaction: bool = True,  # noqa: FBT001, FBT002 - Faust's signature
    ) -> bool:
        """Send what must be in Kafka before the offsets, then commit them as Faust does.

        Faust's waits until everything is sent.
        """
        self.transport.callbacks.committing()
        return bool(await super()._commit_offsets(offsets, start_new_transaction))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        left = await self.thread.commit_what_can(offsets, self._notes)
        if left:
            self.ledger.put_back(left)
            self._finished.set()
        for tp, error in left.items():
            if issubclass(error, KafkaError) and tp not in self._uncommitted:
                self.log.warning(
                    "Kafka does not take the committed offset of %s/%d (%s): is the topic being "
                    "deleted, Read on it not granted, or a broker in trouble? It is tried again; "
                    "the others go on.",
                    *(tp.topic, tp.partition, error.__name__),
                )
        self._uncommitted = set(left)
        taken = {tp: at for tp, at in offsets.items() if tp not in left}
        self.ledger.taken(taken)
        self._group_offsets |= taken
        return not left

    async def perform_seek(self) -> None:
        """Seek every partition to its committed offset, or to where else reading has to resume.

        Faust's leaves a partition without a committed offset wherever the fetcher happens to stand,
        so that a first chunk that was dropped is never fetched again. Faust also calls this while
        partitions are being revoked, when positions must stay as they are.

        The new positions take effect in `resume_flow`.
        """
        if self._revoking or not self.flow_active:
            return  # the recovery after the next assignment seeks
        assignments, generation = self.assignments, self.app.consumer_generation_id
        # Chunks that finish from here on are delivered again, so they must not be committed.
        self._sought = None
        self._own.note(self.assignment(), self._topics)
        self.ledger.reset({})
        # What the group has committed is read next, and has to include what is under way.
        await self.maybe_wait_for_commit_to_finish()
        await super().perform_seek()
        # Not the current assignment, which may have changed since: a partition that was added would
        # look as if nothing had ever been committed for it.
        group = {tp: at for tp, at in self._group_offsets.items() if self.delivers_chunks(tp)}
        starts = await self._starts(group) if group else {}
        # All of them, because a fetch from before the rebalance may have moved the ones that Faust
        # has already sought.
        await self.seek_wait(starts)
        if (self.assignments, self.app.consumer_generation_id) == (assignments, generation):
            noted = self.thread.noted_topics
            self._sought = (
                starts,
                {
                    tp: group[tp]
                    for tp, at in starts.items()
                    if (at, self._topics.get(tp)) != (group[tp], noted.get(tp))
                },
            )

    def resume_flow(self) -> None:
        """Start to deliver from the positions that `perform_seek` found, if it did.

        That cannot begin in `perform_seek`: at the end of its recovery Faust empties the queues in
        front of the agents (`flow_control.resume`) and calls this without yielding in between. A
        chunk that was queued earlier would be lost, yet count as delivered.
        """
        super().resume_flow()
        if self._sought is not None:
            starts, moved = self._sought
            self._sought = None
            self.ledger.reset(starts, moved)
            self._own.placed()
            if moved:
                self._finished.set()
            self._free()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Remember what the group has committed, because Faust takes offset 0 for no commit."""
        committed: Mapping[TP, int] = await super().seek_to_committed()
        self._group_offsets = {TP(*tp): offset for tp, offset in committed.items()}
        return committed

    async def _starts(self, group: Mapping[TP, int | None]) -> dict[TP, int]:
        """Where to resume each partition, given the group's committed offsets.

        A partition that is gone gets no position; the group is about to rebalance without it.
        """
        # Before anything else is asked: an id that is older than the answers is noticed later.
        known = {**self._own.topics(group), **self.thread.noted_topics}
        known = {tp: known[tp] for tp in group if tp in known}
        ids = await self.thread.topic_ids(group, known)
        extents = await self.thread.extents(group)
        self._wait_for_leaders(group.keys() - extents.keys())
        behind = [tp for tp, (_, end) in extents.items() if (group[tp] or 0) > end]
        if behind:
            await self.sleep(NEW_LEADER_SECONDS)
            extents |= await self.thread.extents(behind)
        await self._clear_up(extents)
        recreated = {tp: ids[tp] != before for tp, before in known.items() if tp in ids}
        same = [tp for tp in extents if group[tp] and not recreated.get(tp)]
        overwritten = await self.thread.overwritten(same) if same else {}
        starts = {}
        for tp, committed in group.items():
            if tp in extents:
                start = resume.start(
                    committed,
                    *extents[tp],
                    overwritten.get(tp),
                    self._own.of(tp, ids.get(tp)),
                    recreated=recreated.get(tp),
                )
                self._report(tp, start.change)
                starts[tp] = start.offset
        self._topics = {**known, **ids}
        return starts

    def _forget(self, partitions: Iterable[TP]) -> None:
        """Forget how far these partitions are: they are read from where the group says."""
        self.ledger.forget(partitions)
        self._own.forget(partitions)

    async def _clear_up(self, extents: dict[TP, tuple[int, int]]) -> None:
        """Ask again where a log is said to begin after its end, which none does.

        Such a broker is in trouble, or lies. Where it does not stop soon, the partition is left
        out, and the group sets its positions anew.
        """
        for left in reversed(range(TRIES)):
            wrong = {tp: extent for tp, extent in extents.items() if extent[0] > extent[1]}
            if not wrong:
                return
            if left == TRIES - 1:
                tp, extent = next(iter(wrong.items()))
                self.log.warning(
                    "Kafka says that %s/%d begins at offset %d and ends at %d: asking again.",
                    *(*tp, *extent),
                )
            await self.sleep(TROUBLE_SECONDS)
            extents |= await self.thread.extents(wrong)
        for tp in wrong:
            del extents[tp]
        await self.thread.rejoin()

    def _wait_for_leaders(self, partitions: Collection[TP]) -> None:
        """Have the group rebalance once these partitions have leaders; the others are read.

        Without those that do not exist any more: the group is about to rebalance without them.
        """
        known = self.thread.known_partitions({tp.topic for tp in partitions})
        left = [tp for tp in partitions if tp.partition < known[tp.topic]]
        if left:
            self.log.warning(
                "No broker says where %s/%d begins and ends%s: is the one that has it down? The "
                "others are read, and this one once it is there.",
                *(*left[0], f" (and {len(left) - 1} others)" if left[1:] else ""),
            )
            self.add_future(self._leaders_there(left, self.assignments))

    async def _leaders_there(self, partitions: Collection[TP], assignments: int) -> None:
        found: Mapping[TP, tuple[int, int]] = {}
        while not found:
            await self.sleep(LEADER_SECONDS)
            if self.should_stop or self.assignments != assignments:
                return
            found = await self.thread.extents(partitions)
        await self.thread.rejoin()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Record that the group has accepted this member, then do as Faust does."""
        self.thread.membership.joined()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Give in-flight work a moment to finish, commit it, then forget the partitions."""
        self._revoking = True
        self._handing_out.clear()
        self.assignments += 1
        self._sought = None
        try:
            await super().on_partitions_revoked(revoked)
        finally:
            self._revoking = False
            self._own.note(revoked, self._topics)
            self.ledger.forget(revoked)
            if not self.app.should_stop:
                self._handing_out.set()
            if self.transport.sieve is not None:
                self.transport.sieve.forget(revoked)

    async def wait_empty(self) -> None:
        """Wait, within a deadline, for the chunks that agents are working on, and commit.

        Faust's waits for ever, so a worker whose database is down would never stop.
        Chunks that still wait in a queue are delivered again, as are the parts of a chunk that have
        not been handed out.
        """
        if self.app.crashed:
            return
        if self.app.should_stop:
            self._handing_out.clear()
        deadline = self._deadline()
        may_wait = monotonic() < deadline
        while self._at_work and monotonic() < deadline:
            await self._wait_for_ack(timeout=deadline - monotonic())
        if self._at_work and may_wait:
            self.log.warning(
                "%s not finished in time, to be delivered again.", counted(self._at_work, "chunk")
            )
        # A commit that is already running may not include the last chunks.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit_and_end_transactions()

    @property
    def _at_work(self) -> int:
        """How many chunks agents have and have not finished, each part of one counted alone."""
        # What the streams have taken.
        values: list[object] = [message.value for message in self._unacked_messages]
        divided = sum(isinstance(value, Chunk) and value.divided for value in values)
        return len(values) - divided + len(self._parts)

    def _deadline(self) -> float:
        """When to stop waiting for in-flight work (monotonic); a stop has only one deadline."""
        limit = self.transport.shutdown_deadline
        if not self.app.should_stop:
            return monotonic() + min(limit, REVOKE_DEADLINE)
        if self._stop_deadline is None:
            self._stop_deadline = monotonic() + limit
        return self._stop_deadline

    async def _wait_for_ack(self, timeout: float) -> None:  # noqa: ASYNC109 - Faust's signature
        # Faust's ignores its argument and waits for one second.
        self._waiting_for_ack = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._waiting_for_ack, timeout=timeout)
        except TimeoutError:
            pass
        finally:
            self._waiting_for_ack = None

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Does nothing: Faust's mistakes the worker's uptime for the time without a fetch.

        After some minutes of uptime a rebalance would log "Aiokafka has not sent fetch request"
        errors for partitions of the guard's table that were assigned a moment ago.
        """
