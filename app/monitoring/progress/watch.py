"""The service that polls Kafka and applies the judge's verdict."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from faust.types import TP
from mode import Service

from app.kafka.access import explain
from app.kafka.group_view import GroupView, Observer, Reach
from app.kafka.patches.noted_throttling import throttling
from app.kafka.untimed import NO_TIMESTAMP
from app.monitoring.progress.facts import Seen, Silence, Worker
from app.monitoring.progress.judge import Judge
from app.monitoring.progress.reachability import Reachability
from app.monitoring.progress.rules import STANDING, Rules
from app.monitoring.progress.verdict import BEFORE_THE_FIRST, Verdict
from app.process.errors import StandstillError
from app.process.heartbeat import Heartbeat
from app.settings import KafkaSettings

LOOK_SECONDS = 2.0
"""Seconds between two looks."""

STARTING_SECONDS = 0.25
"""Seconds between two looks until the worker is ready for the first time, while Kafka answers."""

ANSWER_SECONDS = 6.0
"""How long Kafka may take for all answers of one look."""

CLOSE_SECONDS = 2.0

REMIND_SECONDS = 60.0
"""Seconds between two log lines that say the same."""

HEADS = 32
"""In how many partitions with unread records to read the oldest one, so that the cost of a look is
bounded.
"""


class Client(Protocol):
    """What a look needs; see `app.kafka.group_view.Observer`."""

    async def topics(self) -> dict[str, int]:
        """The topics, with their numbers of partitions."""

    async def look(self, topics: dict[str, int], wanted: list[str]) -> GroupView:
        """The state of the group, and how far it is."""

    async def oldest(self, tp: TP, offset: int) -> int | None:
        """The record's timestamp, in epoch millis; `NO_TIMESTAMP` if it has none."""

    async def close(self) -> None:
        """Disconnect."""


class Progress(Service):
    """Watches whether the work makes progress, and ends a worker that is stuck.

    Args:
        settings: how to connect.
        rules: the judge's rules.
        worker: returns the worker's own state at each look.
        stuck_after: seconds after which what is stuck ends the worker; 0 for never.
        end: ends the worker.
        heartbeat: ends the process when the event loop hangs.
        throttled: why Kafka throttles this process at present, and for how long; empty otherwise.
        topics: called with all topics and their numbers of partitions.
        connect: makes a client; called again after Kafka did not answer.
        clock: monotonic seconds.
        wall: epoch seconds.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        rules: Rules,
        worker: Callable[[], Worker],
        *,
        stuck_after: float,
        end: Callable[[StandstillError], Awaitable[None]],
        heartbeat: Heartbeat,
        throttled: Callable[[], str] = lambda: throttling.told,
        topics: Callable[[Mapping[str, int]], object] = lambda _: None,
        connect: Callable[[KafkaSettings], Awaitable[Client]] = Observer.connect,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.verdict: Verdict = BEFORE_THE_FIRST
        self.kafka = Reachability(settings.url, wall, clock)
        self.oldest: dict[TP, int] = {}
        """When the oldest unread record of each partition was written, in epoch millis, if known.
        """
        self._settings = settings
        self._rules = rules
        self._worker = worker
        self._stuck_after = stuck_after
        self._end = end
        self._heartbeat = heartbeat
        self._throttled = throttled
        self._topics = topics
        self._connect = connect
        self._clock = clock
        self._wall = wall
        self._judge = Judge(rules)
        self._client: Client | None = None
        self._heads: dict[TP, tuple[int, int | None]] = {}
        self._ending = False
        self._was_ready = False
        self._said: str | None = None
        self._said_at = 0.0
        self._told_waiting_at = -REMIND_SECONDS

    @property
    def member(self) -> str:
        """This worker's id in the consumer group; empty before it has joined."""
        return self._worker().member

    def now(self) -> float:
        """The current time in epoch seconds, by the clock of all times here."""
        return self._wall()

    async def on_start(self) -> None:
        """Start to watch the event loop."""
        self._heartbeat.start()

    async def on_stop(self) -> None:
        """Disconnect."""
        self._heartbeat.stop()
        await self._disconnect()

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.look()
            await self.sleep(self.pause())

    def pause(self) -> float:
        """Seconds until the next look."""
        starting = not self._was_ready and self._client is not None
        return STARTING_SECONDS if starting else LOOK_SECONDS

    async def look(self) -> None:
        """Ask Kafka, judge, log changes, and end the worker if it has been stuck for too long."""
        seen = await self._ask()
        worker = self._worker()
        self.verdict = self._judge.look(self._clock(), self._wall(), seen, worker)
        if not worker.stopping:
            self._say(self.verdict)
            self._say_what_waits(self.verdict, worker.database.waits)
            await self._end_if_stuck(self.verdict)

    async def _ask(self) -> Seen:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                view = await self._view()
        except Exception as error:  # noqa: BLE001 - whatever a client raises, it gave no answer
            # A client that is throttled for longer than it waits looks like one without an answer.
            why = self._throttled() or explain(error, self._settings)
            if not self.should_stop:  # stopping closes the client during a look
                self.kafka.failed(why)
            await self._disconnect()
            return Silence(why)
        self.kafka.answered()
        return view

    async def _view(self) -> GroupView:
        client = self._client
        if client is None:
            client = self._client = await self._connect(self._settings)
        topics = await client.topics()
        self._topics(topics)
        wanted = [name for name in topics if name == self._rules.documents]
        wanted += [name for name in topics if self._rules.wanted(name)]
        view = await client.look(topics, wanted)
        await self._look_at_heads(client, view)
        reaches = {tp: self._real(tp, reach) for tp, reach in view.partitions.items()}
        return replace(view, partitions=reaches)

    async def _look_at_heads(self, client: Client, view: GroupView) -> None:
        """Find out how old the oldest unread records are."""
        mine = view.members.get(self._worker().member)
        unread = {
            tp: max(reach.start or 0, reach.committed or 0)
            for tp, reach in view.partitions.items()
            if reach.lag and mine and tp in mine.partitions
        }
        known = {tp for tp, at in unread.items() if self._known(tp, at)}
        turns = {tp: turn for turn, tp in enumerate(self._heads, 1)}
        # First partitions that were never looked at, then those whose last look is longest ago.
        asked = sorted(unread.keys() - known, key=lambda tp: (turns.get(tp, 0), tp))[:HEADS]
        kept = {
            tp: head
            for tp, head in self._heads.items()
            if tp not in asked and unread.get(tp) == head[0]
        }
        found = await asyncio.gather(*(client.oldest(tp, unread[tp]) for tp in asked))
        self._heads = kept | {tp: (unread[tp], at) for tp, at in zip(asked, found, strict=True)}
        times = {tp: at for tp, (_, at) in self._heads.items() if at is not None}
        self.oldest = {tp: at for tp, at in times.items() if at != NO_TIMESTAMP}

    def _known(self, tp: TP, offset: int) -> bool:
        """Whether the record at an offset is known; an empty place may be filled later."""
        at = self._heads.get(tp)
        return at is not None and at[0] == offset and at[1] is not None

    def _real(self, tp: TP, reach: Reach) -> Reach:
        """Ignore an unread rest of only transaction markers, which nobody can commit."""
        head = self._heads.get(tp)
        hollow = head is not None and head[1] is None
        return replace(reach, start=reach.end) if hollow else reach

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(client.close(), CLOSE_SECONDS)

    def _say(self, verdict: Verdict) -> None:
        """Log when something stands still or goes on, and once a minute in between."""
        now = self._clock()
        lasts = 0.0 if verdict.since is None else self._wall() - verdict.since
        if verdict.not_ready is None:
            if not self._was_ready:
                self.log.info("Ready: every partition is read by a worker of the group.")
            elif self._said is not None:
                self.log.info("Ready again: nothing that this worker reads stands still.")
            self._was_ready, self._said = True, None
        elif lasts >= STANDING:
            # Compared without its numbers, which change all the time.
            what = re.sub(r"\d+", "", verdict.not_ready)
            if what != self._said or now - self._said_at >= REMIND_SECONDS:
                self.log.warning("Not ready for %.0f s: %s", lasts, verdict.not_ready)
                self._said, self._said_at = what, now

    def _say_what_waits(self, verdict: Verdict, waits: str) -> None:
        """Log, at most once a minute, that documents wait on purpose, of which none is stored."""
        now = self._clock()
        waiting = [one for one in verdict.partitions.values() if one.mine and one.why == waits]
        if waits and waiting and now - self._told_waiting_at >= REMIND_SECONDS:
            self._told_waiting_at = now
            unread = sum(one.reach.lag or 0 for one in waiting)
            wall = self._wall()
            lasts = max(0.0 if one.since is None else wall - one.since for one in waiting)
            self.log.info("%d records wait, the first for %.0f s: %s", unread, lasts, waits)

    async def _end_if_stuck(self, verdict: Verdict) -> None:
        if self._ending or not self._stuck_after or verdict.stuck_for < self._stuck_after:
            return
        self._ending = True
        error = StandstillError(
            f"Standing still for {verdict.stuck_for:.0f} s, though Kafka answers: "
            f"{verdict.stuck_on}. Ending this worker, so that its supervisor restarts it "
            "(PERSISTER_STUCK_AFTER)."
        )
        self.log.error("%s", error)
        await self._end(error)
