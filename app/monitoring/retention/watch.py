"""Warns before Kafka's retention deletes unread records."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from faust.types import TP
from mode import Service

from app.kafka.admin import UnreadableSettingsError
from app.kafka.errors import KafkaError
from app.monitoring.lag import Lags, PartitionLag
from app.monitoring.retention.policy import Head, Left, left
from app.monitoring.retention.unread import Unread
from app.process.words import counted

LOOK_SECONDS = 30.0
"""Seconds between two checks; there is also one after each rebalance."""

SOON_SECONDS = 1.0
"""Seconds between two checks while it is unknown which partitions are assigned, or the lag of one
of them.
"""

_WARNING = (
    "Kafka may delete unread records of %s soon: %d %% of what its retention allows is left%s. "
    "%s. See /status for what holds the worker up, start more workers, or give it "
    "time: kafka-configs.sh --bootstrap-server ... --alter --entity-type topics --entity-name %s "
    "--add-config retention.ms=...,retention.bytes=-1"
)


class Retention(Service):
    """Tracks how long Kafka still keeps unread records; warns once when that becomes short.

    Args:
        lags: the lag of each partition.
        unread: reads from Kafka.
        warning: share of a topic's retention below which to warn.
        clock: epoch seconds.
    """

    def __init__(
        self,
        lags: Lags,
        unread: Unread,
        warning: float,
        *,
        clock: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._lags = lags
        self._unread = unread
        self._warning = warning
        self._clock = clock
        self._left: dict[TP, Left] = {}
        self._heads: dict[tuple[TP, int], Head] = {}
        self._ends: dict[TP, int] = {}
        self._looked_at = 0.0
        self._warned: set[str] = set()
        self._blind = False
        self._look_now = asyncio.Event()

    def seconds_left(self, tp: TP) -> float | None:
        """Seconds until Kafka may delete unread records; None if there are none or unknown."""
        found = self._left.get(tp)
        if found is None or found.deadline is None:
            return None
        return max(0.0, found.deadline - self._clock())

    @property
    def low(self) -> frozenset[str]:
        """Topics with less retention left than the warning threshold."""
        return frozenset(self._warned)

    async def on_stop(self) -> None:
        """Disconnect."""
        await self._unread.disconnect()

    def look_soon(self) -> None:
        """Check at once, because other partitions are assigned now."""
        self._look_now.set()

    @Service.task
    async def _watch(self) -> None:
        pause = LOOK_SECONDS
        while not self.should_stop:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), pause)
            self._look_now.clear()
            lags = self._lags.mine()
            await self.look(lags)
            pause = pause_after(lags)

    async def look(self, lags: list[PartitionLag]) -> None:
        """Find out how much retention every partition has left, and warn if it is little."""
        try:
            found = await self._ask([lag for lag in lags if lag.lag])
        except (KafkaError, OSError, UnreadableSettingsError) as error:
            if not self._blind:
                self.log.warning(
                    "Cannot see how long Kafka keeps unread records (%s: %s); trying again.",
                    *(type(error).__name__, error),
                )
            self._blind = True
            self._left = {}
            await self._unread.disconnect()
            return
        self._blind = False
        self._left = found
        self._ends = {_tp(lag): lag.end for lag in lags if lag.end is not None}
        self._looked_at = self._clock()
        self._warn()

    async def _ask(self, unread: list[PartitionLag]) -> dict[TP, Left]:
        policies = await self._unread.policies({lag.topic for lag in unread})
        now = self._clock()
        found: dict[TP, Left] = {}
        heads: dict[tuple[TP, int], Head] = {}
        for lag in unread:
            tp, offset = _tp(lag), lag.committed or 0
            head = self._heads.get((tp, offset)) or await self._unread.head(tp, offset)
            if head is None:
                continue
            heads[tp, offset] = head
            rest = left(policies[lag.topic], head, lag.lag or 0, self._rate(lag, now), now)
            if rest is not None:
                found[tp] = rest
        self._heads = heads
        return found

    def _rate(self, lag: PartitionLag, now: float) -> float | None:
        """Records per second that have arrived since the last check."""
        before = self._ends.get(_tp(lag))
        if before is None or lag.end is None or now <= self._looked_at:
            return None
        return (lag.end - before) / (now - self._looked_at)

    def _warn(self) -> None:
        """Log a line for each topic whose state has changed."""
        topics = {tp.topic for tp in self._left}
        worst = {topic: min(self._of(topic), key=lambda one: one.share) for topic in topics}
        low = {topic for topic, found in worst.items() if found.share < self._warning}
        for topic in sorted(low - self._warned):
            found = worst[topic]
            records = sum(one.records for one in self._of(topic))
            when = "" if found.deadline is None else f", {_time(found.deadline - self._clock())}"
            waiting = counted(records, "record waits", "records wait")
            self.log.warning(_WARNING, topic, found.share * 100, when, waiting, topic)
        for topic in sorted(self._warned - low):
            self.log.info("Unread records of %s are in no danger any more.", topic)
        self._warned = low

    def _of(self, topic: str) -> list[Left]:
        return [found for tp, found in self._left.items() if tp.topic == topic]


def _tp(lag: PartitionLag) -> TP:
    return TP(lag.topic, lag.partition)


def _time(seconds: float) -> str:
    if seconds <= 0:
        return "so that they may be deleted at any moment"
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def pause_after(lags: list[PartitionLag]) -> float:
    """Seconds until the next check, after one of these partitions."""
    # The lags come from the progress service, which may have looked before the assignment.
    unknown = not lags or any(lag.lag is None for lag in lags)
    return SOON_SECONDS if unknown else LOOK_SECONDS
