"""Sends traffic to Kafka, at a rate or as fast as possible, and keeps its ledger."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice

from dev.traffic.events import Again, Event
from dev.traffic.fleet import CountingPublisher, Fleet
from dev.traffic.ledger import Ledger
from dev.traffic.pace import Pace
from dev.traffic.traffic import Traffic
from openwhisk.publisher import PublishError
from openwhisk.store import NotStored, Publishes

IN_FLIGHT = 500
"""Events at a time."""


@dataclass
class Summary:
    """What was sent.

    Attributes:
        ledger: what must become of it.
        events: how many were sent, by kind.
        messages: how many Kafka acknowledged, by topic.
        bytes: of these, by topic.
        failures: by reason, what Kafka did not take.
        seconds: from the first to the last.
    """

    ledger: Ledger
    events: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Simulation:
    """Runs traffic once.

    Args:
        traffic: the events.
        publisher: to Kafka; started.
        rate: events per second; None: as fast as possible.
        count: of events; None: no limit.
        duration: seconds; None: no limit.
        on_progress: is called for every event that is done.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        traffic: Traffic,
        publisher: Publishes,
        *,
        rate: float | None = None,
        count: int | None = None,
        duration: float | None = None,
        on_progress: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if count is None and duration is None:
            raise ValueError("give a count, a duration or both: traffic is endless")
        counting = CountingPublisher(publisher)
        self.summary = Summary(
            Ledger(traffic.setup), messages=counting.messages, bytes=counting.bytes
        )
        self._traffic = traffic
        self._fleet = Fleet(counting, traffic.setup)
        self._rate = rate
        self._count = count
        self._duration = duration
        self._on_progress = on_progress
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> Summary:
        """Send all events; returns when Kafka has acknowledged or refused the last message."""
        pace = Pace(self._rate, clock=self._clock, sleep=self._sleep)
        in_flight: set[asyncio.Task[None]] = set()
        try:
            for event in islice(self._traffic, self._count):
                await pace.wait()
                if self._duration is not None and pace.seconds >= self._duration:
                    break
                if in_flight and (len(in_flight) >= IN_FLIGHT or _needs_the_first(event)):
                    await _some(in_flight, all_of_them=_needs_the_first(event))
                task = asyncio.create_task(self._send(event))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
            while in_flight:
                await _some(in_flight, all_of_them=True)
        finally:
            for task in in_flight:
                task.cancel()
            self.summary.seconds = pace.seconds
        return self.summary

    async def _send(self, event: Event) -> None:
        summary = self.summary
        try:
            await self._fleet.send(event)
        except (ExceptionGroup, PublishError, NotStored) as error:
            summary.ledger.doubt(event)
            summary.failures.update(_reasons(error))
        else:
            summary.ledger.add(event)
        summary.events[type(event).__name__] += 1
        self._on_progress()


def _needs_the_first(event: Event) -> bool:
    return isinstance(event, Again) and event.divergent


async def _some(in_flight: set[asyncio.Task[None]], *, all_of_them: bool) -> None:
    when = asyncio.ALL_COMPLETED if all_of_them else asyncio.FIRST_COMPLETED
    done, _ = await asyncio.wait(in_flight, return_when=when)
    for task in done:
        task.result()


def _reasons(error: Exception) -> list[str]:
    if isinstance(error, ExceptionGroup):
        return [reason for part in error.exceptions for reason in _reasons(part)]
    cause = error.__cause__ if isinstance(error, NotStored) else None
    return [str(cause or error)]
