"""Faust's consumer, changed to deliver chunks and to commit only gapless finished work.

Each overriding method says what Faust's does. They depend on Faust's internals, so its version is
pinned, and `python -m dev.internals` shows what a new version changes.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from app.kafka.delivery.ledger import NOTHING, Admitted, Rewind
from app.kafka.delivery.thread import TROUBLE_SECONDS, ConsumerThread
from app.kafka.delivery.topic import ChunkTopic
from app.process.words import counted

if TYPE_CHECKING:
    from app.kafka.delivery.transport import Transport

ON_THE_WAY_SECONDS = 1.0
"""From the delivery of a chunk to its agent, when nothing waits in front of the agent."""

REVOKE_DEADLINE = 3.0
"""Seconds for in-flight work to finish when partitions are revoked; the group waits meanwhile."""

NEW_LEADER_SECONDS = 2.0
"""That a new leader may need to know up to where the log is committed; until then it may tell an
end that lies before what a group has committed. Brokers since 2.1 refuse to answer instead
(KIP-207).
"""

TRIES = 10
"""Of questions for offsets that a broker answers with what cannot be."""

IDLE_SECONDS = 5.0
"""How long a fetch waits for records. Faust's waits one second, and each wait costs a call from one
thread to the other."""

COMMIT_SOON = 0.2
"""Seconds from the first finished chunk to its commit, when there has been none for a while: a
record that comes alone is finished twice by then, on its topic and on the internal one."""


class ReadOffsets(dict[TP, int | None]):
    """Answers None for partitions that are delivered as chunks.

    Faust drops a record whose offset is below the last one that it noted as read, and notes it
    only after the delivery, which may have waited for a rebalance: the records that are fetched
    again after it are then dropped. For chunks the ledger decides instead.
    """

    def __init__(self, consumer: "Consumer") -> None:
        super().__init__()
        self._consumer = consumer

    def __getitem__(self, tp: TP) -> int | None:
        return None if self._consumer.delivers_chunks(tp) else self.get(tp)


class Consumer(driver.Consumer):
    """Delivers chunks of the topics that agents read as `ChunkTopic`; others as Faust does."""

    transport: "Transport"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ledger = self.transport.ledger
        self._read_offset = ReadOffsets(self)
        self._revoking = False
        self._assignments = 0
        self._sought: tuple[Mapping[TP, int], Sequence[TP]] | None = None
        self._stop_deadline: float | None = None
        self._group_offsets: dict[TP, int | None] = {}
        self._ready: set[TP] = set()
        self._held: set[TP] = set()
        self._freed = Event()
        self._paused: set[TP] = set()
        self._uncommitted: set[TP] = set()
        self._finished = Event()

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
        """Tell whether the topic is read through a `ChunkTopic`; any thread may ask."""
        # A copy, made in one step: another thread may be filling the set.
        channels = tuple(self._conductor._topic_name_index.get(tp.topic, ()))  # noqa: SLF001
        return any(isinstance(channel, ChunkTopic) for channel in channels)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Any:
        """Fetch lists and turn those of chunked topics into chunks.

        Instead of Faust's, which fetches every active partition whatever still waits in front of
        the agents: here a partition is fetched only when the stream that reads it has nothing
        waiting. That bounds memory, and an agent that waits for the database does not keep the
        others from theirs. Nor is one fetched while the app holds it, or before it is known where
        to read on.
        """
        active = active_partitions or set()
        await self._take_back_dropped(active)
        await self._look_at_released(active)
        ready = {tp for tp in active if self._may_be_fetched(tp)}
        self._ready, self._held = ready, active - ready
        if not ready:
            self._freed.clear()
            await self.wait(self._freed, timeout=timeout)
            return {}
        fetched = await super()._getmany(ready, max(timeout, IDLE_SECONDS))
        self._held = set()
        taken = {TP(*tp): await self._as_chunk(TP(*tp), records) for tp, records in fetched.items()}
        return {tp: records for tp, records in taken.items() if self._still_next(tp, records)}

    def fetches_all(self, ready: set[TP]) -> bool:
        """Whether these are all there are to fetch, as before; any thread may ask."""
        held = self.transport.callbacks.held
        return self.flow_active and ready == self._active_partitions and not any(map(held, ready))

    async def _take_back_dropped(self, partitions: set[TP]) -> None:
        """Fetch again what Faust has dropped on its way to the agent.

        Nothing is known to be dropped any more without the positions being reset: see
        `resume_flow`. But Faust drops without a word in three places (the delivery that a rebalance
        cuts short, the queues that it empties, the streams that skip another generation's), and
        one that we have not foreseen would leave a partition uncommitted until the judge ends the
        worker, a minute later. Looking costs a look-up for each partition of a fetch. That it ever
        finds something is a defect, and the fault suite counts it as one.
        """
        for tp in partitions:
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
        """An agent has taken a chunk: fetch at once what was held because of it."""
        chunk.taken = True
        self._free()

    def _free(self) -> None:
        """Fetch at once what was held and needs not be any more."""
        freed = {tp for tp in self._held if self._may_be_fetched(tp)}
        if freed:
            self._held -= freed
            # In place: the thread, which waits for records of these, goes on with some more.
            self._ready |= freed
            self._freed.set()
            self.thread.look_again(freed)

    def _may_be_fetched(self, tp: TP) -> bool:
        if self.transport.callbacks.held(tp):
            self._paused.add(tp)
        return tp not in self._paused and self._placed(tp) and not self._waiting(tp)

    async def _look_at_released(self, active: set[TP]) -> None:
        """Have positions set anew where a topic was re-created while the app held it.

        The fetches of any other topic notice that it is gone. A topic that comes back before the
        next look at the metadata differs in nothing, and would be read on at the old offset. But
        Kafka forgets with a topic what groups have committed of it.
        """
        held = self.transport.callbacks.held
        released = {tp for tp in self._paused if not held(tp)}
        if not released:
            return
        committed = {tp for tp in released & active if self._group_offsets.get(tp) is not None}
        try:
            made_anew = await self.thread.without_commit(committed)
        except (KafkaError, TimeoutError):
            return  # it is fetched when Kafka says
        self._paused -= released
        if not made_anew:
            return
        for tp in made_anew:
            self.log.warning(
                "%s/%d was deleted and re-created while it was not read: the group sets its "
                "positions anew.",
                *(tp.topic, tp.partition),
            )
        self.ledger.forget(made_anew)
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
        if verdict == NOTHING and await self._begins_anew(tp, records):
            verdict = self.ledger.admit(tp, records)
        if isinstance(verdict, Rewind):
            await self._rewind(tp, verdict.offset)
            return []
        if verdict.hole is not None:
            await self._accept_hole(tp, verdict)
        return [Chunk(tp, verdict.records)] if verdict.records else []

    def _still_next(self, tp: TP, records: list[Any]) -> bool:
        """Whether a chunk begins where its partition stands now.

        While another one is sought, a rebalance may pass, which resets all positions: then the
        chunk is fetched again. Faust notes the generation only after this.
        """
        chunk = records[0] if records else None
        return not isinstance(chunk, Chunk) or self.ledger.position(tp) == chunk.first_offset

    async def _begins_anew(self, tp: TP, records: list[Any]) -> bool:
        """Whether all of this was read before only by its offsets: the topic was re-created.

        The fetcher has then begun at the start by itself, below the position.
        """
        expected = self.ledger.position(tp)
        if expected is None or not records:
            return False
        end = (await self.highwaters(tp)).get(tp)
        if end is None or end >= expected:
            return False
        self._report(tp, resume.Recreated(expected, end))
        self.ledger.skip_to(tp, records[0].offset)
        return True

    async def _rewind(self, tp: TP, offset: int) -> None:
        try:
            await self.seek_wait({tp: offset})
        except IllegalStateError:
            # Revoked meanwhile: its next owner starts at the committed offset.
            self.ledger.forget([tp])

    async def _accept_hole(self, tp: TP, admitted: Admitted) -> None:
        first = admitted.records[0].offset
        expected = admitted.hole or 0
        earliest = (await self.earliest_offsets(tp)).get(tp, first)
        self._report(tp, resume.expired(expected, min(earliest, first)))
        self.ledger.skip_to(tp, first)

    def _report(self, tp: TP, change: resume.Change | None) -> None:
        """Log what has happened to a partition's log, and count what is lost."""
        if change is None:
            return
        self.log.log(change.level, "%s", change.message(tp))
        if isinstance(change, resume.Expired):
            self.transport.callbacks.lost(tp, change.count)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        """Wrap a chunk; its offset is that of its last record.

        This is where a chunk is really handed over: Faust may drop what was fetched before, when
        a rebalance begins, so the position moves on only here.
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
        """Commit once in each interval in which something is finished; Faust's looks in each."""
        while not self.should_stop:
            await self.wait(self._finished)
            await self.sleep(COMMIT_SOON)
            self._finished.clear()
            if await self.maybe_wait_for_commit_to_finish():
                # It may have begun before what is finished now.
                self._finished.set()
            else:
                await self.commit()
            await self.sleep(self.commit_interval - COMMIT_SOON)

    @Service.task
    async def _commit_livelock_detector(self) -> None:
        """Nothing: Faust's complains of a slow stream when records wait for the database.

        `/status` shows lag and what the database is doing instead.
        """

    def ack(self, message: Message) -> bool:
        """Mark a chunk as finished, instead of noting its offset among those acknowledged."""
        self._finished.set()
        chunk = message.value
        if not isinstance(chunk, Chunk):
            return bool(super().ack(message))
        message.acked = True
        chunk.finished = True
        self.transport.callbacks.finished(chunk)
        # Its offsets may wait long: for chunks in front of it, or for a commit.
        chunk.release()
        self._unacked_messages.discard(message)
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)
        return True

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The end of the finished chunks at the head of each partition.

        Faust's `_new_offset` searches the acknowledged offsets for gaps and passes some of them:
        a single record at the head, any gap before the group's first commit, and pending records
        of topics with holes.
        """
        return {**super()._filter_committable_offsets(tps), **self.ledger.committable()}

    async def _commit_offsets(
        self,
        offsets: Mapping[TP, int],
        start_new_transaction: bool = True,  # noqa: FBT001, FBT002 - Faust's signature
    ) -> bool:
        """Send first what is to be in Kafka before the offsets are, then do as Faust does.

        It waits until all is sent.
        """
        self.transport.callbacks.committing()
        return bool(await super()._commit_offsets(offsets, start_new_transaction))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        left = await self.thread.commit_what_can(offsets)
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
        self._group_offsets |= {tp: at for tp, at in offsets.items() if tp not in left}
        return not left

    async def perform_seek(self) -> None:
        """Find out where every partition goes on: at its committed offset, or at the log's start.

        Faust's leaves a partition without a committed offset where the fetcher happens to stand,
        so that a first chunk which it dropped is never fetched again. And it is also called while
        partitions are being revoked, when positions must stay as they are.

        The positions hold from `resume_flow` on.
        """
        if self._revoking or not self.flow_active:
            return  # the recovery after the next assignment seeks
        assignments, generation = self._assignments, self.app.consumer_generation_id
        # Whatever is still finished now comes again, and must not be committed meanwhile.
        self._sought = None
        self.ledger.reset({})
        await super().perform_seek()
        # Only those that were asked about: the assignment may have changed since, and a partition
        # that came meanwhile would look like one of which nothing was ever committed.
        group = {tp: at for tp, at in self._group_offsets.items() if self.delivers_chunks(tp)}
        starts = await self._starts(group) if group else {}
        # All of them, since a fetch from before the rebalance may have moved those that Faust has
        # sought.
        await self.seek_wait(starts)
        if (self._assignments, self.app.consumer_generation_id) == (assignments, generation):
            self._sought = starts, [tp for tp, at in starts.items() if at != group[tp]]

    def resume_flow(self) -> None:
        """Deliver from the positions that were sought, if they were.

        Not from `perform_seek` on: at the end of its recovery Faust empties the queues in front of
        the agents (`flow_control.resume`) and calls this in the same step. A chunk that was put
        there before is lost, and counts as delivered.
        """
        super().resume_flow()
        if self._sought is not None:
            starts, moved = self._sought
            self._sought = None
            self.ledger.reset(starts, moved)
            if moved:
                self._finished.set()
            self._free()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Keep what the group has committed, since Faust takes an offset of 0 for none at all."""
        committed: Mapping[TP, int] = await super().seek_to_committed()
        self._group_offsets = {TP(*tp): offset for tp, offset in committed.items()}
        return committed

    async def _starts(self, group: Mapping[TP, int | None]) -> dict[TP, int]:
        """Where to read on: at what the group has committed, if the log still has it.

        A partition that is gone gets no position: the group is about to share out what is left.
        """
        ends = dict(await self.highwaters(*group))
        behind = [tp for tp, at in group.items() if at is not None and at > ends.get(tp, at)]
        if behind:
            await self.sleep(NEW_LEADER_SECONDS)
            ends |= await self.highwaters(*behind)
        earliest = dict(await self.earliest_offsets(*group))
        await self._clear_up(earliest, ends)
        overwritten = await self._overwritten([tp for tp, at in group.items() if at])
        starts = {}
        for tp, committed in group.items():
            if tp in earliest and tp in ends:
                start = resume.start(committed, earliest[tp], ends[tp], overwritten.get(tp))
                self._report(tp, start.change)
                starts[tp] = start.offset
        return starts

    async def _clear_up(self, earliest: dict[TP, int], ends: dict[TP, int]) -> None:
        """Ask again where a log is said to begin after its end, which none does.

        Such a broker is in trouble, or lies. Where it does not stop soon, the partition is left
        out, and the group sets its positions anew.
        """
        for left in reversed(range(TRIES)):
            wrong = [tp for tp, at in earliest.items() if at > ends.get(tp, at)]
            if not wrong:
                return
            if left == TRIES - 1:
                self.log.warning(
                    "Kafka says that %s/%d begins at offset %d and ends at %d: asking again.",
                    *(wrong[0].topic, wrong[0].partition, earliest[wrong[0]], ends[wrong[0]]),
                )
            await self.sleep(TROUBLE_SECONDS)
            ends |= await self.highwaters(*wrong)
            earliest |= await self.earliest_offsets(*wrong)
        for tp in wrong:
            del earliest[tp]
        await self.thread.rejoin()

    async def _overwritten(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """As the thread says; nothing while Kafka does not: offsets alone have to do then."""
        if not partitions:
            return {}
        try:
            return await self.thread.overwritten(partitions)
        except (KafkaError, TimeoutError) as error:
            self.log.warning(
                "Kafka does not say whether it still has what was read (%s): a log that has lost "
                "its end and is longer again by now is not noticed.",
                type(error).__name__,
            )
            return {}

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note that the group has accepted this member, then do as Faust does."""
        self.thread.membership.joined()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let what is in flight finish for a moment, commit it, then forget the partitions."""
        self._revoking = True
        self._assignments += 1
        self._sought = None
        try:
            await super().on_partitions_revoked(revoked)
        finally:
            self._revoking = False
            self.ledger.forget(revoked)

    async def wait_empty(self) -> None:
        """Wait for the chunks that agents work on, within a deadline, and commit.

        Faust's waits for ever, so that a worker whose database is down never stops.
        `_unacked_messages` holds what a stream has taken; what still waits in its queue will be
        delivered again.
        """
        if self.app.crashed:
            return
        deadline = self._deadline()
        may_wait = monotonic() < deadline
        while self._unacked_messages and monotonic() < deadline:
            await self._wait_for_ack(timeout=deadline - monotonic())
        if self._unacked_messages and may_wait:
            self.log.warning(
                "%s not finished in time, to be delivered again.",
                counted(len(self._unacked_messages), "chunk"),
            )
        # One that runs already may not know of what was finished just now.
        await self.maybe_wait_for_commit_to_finish()
        await self.commit_and_end_transactions()

    def _deadline(self) -> float:
        """Until when in-flight work may take; a stop has one, however often Faust waits in it."""
        limit = self.transport.shutdown_deadline
        if not self.app.should_stop:
            return monotonic() + min(limit, REVOKE_DEADLINE)
        if self._stop_deadline is None:
            self._stop_deadline = monotonic() + limit
        return self._stop_deadline

    async def _wait_for_ack(self, timeout: float) -> None:  # noqa: ASYNC109 - Faust's signature
        # Faust's ignores its argument and waits a second.
        self._waiting_for_ack = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._waiting_for_ack, timeout=timeout)
        except TimeoutError:
            pass
        finally:
            self._waiting_for_ack = None

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's takes the time since the worker's start for that without a fetch.

        A rebalance after some minutes then logs "Aiokafka has not sent fetch request" as errors,
        for partitions of the guard's table that were assigned a moment ago.
        """
