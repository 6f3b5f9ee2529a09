"""Continuous traffic, and the record of what was produced."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.kafka.topics import TopicNames
from app.settings import KafkaSettings
from dev.traffic import (
    Ledger,
    Mix,
    Setup,
    Simulation,
    Summary,
    Traffic,
    ensure_topics,
)
from dev.traffic.events import Again, Event, Junk
from models.reasons import RejectReason
from openwhisk.publisher import Publisher, PublishError
from openwhisk.store import InvokerRecords, Publishes

PUBLISH_SECONDS = 180.0
"""Longer than any fault: nothing may be in doubt, or the books would prove less."""

MIX = Mix(duplicates=0.02, junk=0.01, divergent=0.003)

KEPT = 500
"""Messages of which copies may be sent."""

Message = tuple[str, bytes]
"""Topic and value."""


@dataclass
class Books:
    """What was produced, and its expected outcome.

    Attributes:
        ledger: of the documents.
        rejected: messages that must be dead letters, and how often.
        divergent: ids of documents of which another one with the same id must be a dead letter.
        doubtful: messages that Kafka may or may not have.
        events: how many were sent.
    """

    ledger: Ledger
    rejected: Counter[Message] = field(default_factory=Counter)
    divergent: set[str] = field(default_factory=set)
    doubtful: set[Message] = field(default_factory=set)
    events: int = 0


class Endless(Traffic):
    """Traffic that runs until stopped and notes which messages must become dead letters."""

    stopped = False

    def __iter__(self) -> Iterator[Event]:
        self.rejected: Counter[Message] = Counter()
        self.divergent: set[str] = set()
        for event in super().__iter__():
            if self.stopped:
                return
            self._note(event)
            yield event

    def _note(self, event: Event) -> None:
        match event:
            case Junk(topic, value, RejectReason()):
                self.rejected[topic, value] += 1
            case Again(activity, divergent=True):
                self.divergent.add(activity.activation.document_id)


class Doubting:
    """A publisher that notes messages whose fate is unknown, and that can be held.

    Args:
        publisher: to Kafka; started.
    """

    def __init__(self, publisher: Publishes) -> None:
        self.publisher = publisher
        self.doubtful: set[Message] = set()
        self.recent: deque[Message] = deque(maxlen=KEPT)
        """The last that are on Kafka."""
        self.open = asyncio.Event()
        """While it is not set, what is published waits."""
        self.open.set()

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """As the publisher's."""
        await self.open.wait()
        try:
            await self.publisher.publish(topic, value, key)
        except PublishError:
            self.doubtful.add((topic, value))
            raise
        self.recent.append((topic, value))

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        """As the publisher's."""
        await self.open.wait()
        errors = await self.publisher.publish_all(topic, values)
        for value, error in zip(values, errors, strict=True):
            if error is None:
                self.recent.append((topic, value))
            else:
                self.doubtful.add((topic, value))
        return errors


class Flow:
    """Sends events in the background at a given rate.

    Args:
        kafka_url: `kafka://host:port`.
        prefix: of the topics.
        seed: of the events.
        rate: events per second.

    Attributes:
        records: that Kafka has acknowledged, known at the end.
    """

    def __init__(self, kafka_url: str, prefix: str, *, seed: int, rate: float) -> None:
        self.setup = Setup(topics=TopicNames(prefix=prefix), invoker_records=InvokerRecords.ALL)
        self._settings = KafkaSettings(url=kafka_url)
        self._traffic = Endless(self.setup, seed=seed, mix=MIX)
        self._rate = rate
        self._publisher = Publisher(self._settings, deadline=PUBLISH_SECONDS)
        self._doubting = Doubting(self._publisher)
        self.records = 0
        self._pauses = 0
        self._ebb = False
        self._wanted = 0
        self._task: asyncio.Task[Summary] | None = None

    async def prepare(self) -> None:
        """Create the topics that are missing."""
        await self._publisher.start()
        await ensure_topics(self._publisher, self.setup, self._settings)

    def start(self) -> None:
        """Begin."""
        simulation = Simulation(
            self._traffic, self._doubting, rate=self._rate, duration=float("inf")
        )
        self._task = asyncio.create_task(simulation.run())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Send nothing more in the block; what is under way arrives."""
        self._pauses += 1
        self._let()
        try:
            yield
        finally:
            self._pauses -= 1
            self._let()

    def ebb(self, *, ebbing: bool) -> None:
        """Have traffic go and come, whatever else pauses it."""
        self._ebb = ebbing
        self._let()

    @contextlib.contextmanager
    def insisting(self) -> Iterator[None]:
        """Have it flow in the block, unless it is paused on purpose."""
        self._wanted += 1
        self._let()
        try:
            yield
        finally:
            self._wanted -= 1
            self._let()

    def _let(self) -> None:
        if self._pauses or (self._ebb and not self._wanted):
            self._doubting.open.clear()
        else:
            self._doubting.open.set()

    async def reconnect(self) -> None:
        """Send through another client, to a Kafka that knows nothing of the last one."""
        await self._publisher.stop(deadline=1.0)
        self._publisher = self._doubting.publisher = Publisher(
            self._settings, deadline=PUBLISH_SECONDS
        )
        await self.prepare()

    async def send_copies(self, topic: str, count: int) -> None:
        """Send some of the last valid messages again, in another topic.

        While traffic pauses and everything is stored, so that these are the copies.
        """
        recent = [m for m in self._doubting.recent if m not in self._traffic.rejected]
        if not recent:
            raise RuntimeError("nothing was sent yet")
        values = [recent[number % len(recent)][1] for number in range(count)]
        for error in await self._publisher.publish_all(topic, values):
            if error is not None:
                raise error

    async def stop(self) -> Books:
        """Stop, and return when everything begun is on Kafka."""
        if self._task is None:
            raise RuntimeError("it was never started")
        self._traffic.stopped = True
        self._ebb = False
        self._let()
        summary = await self._task
        self.records = summary.messages.total()
        doubtful = self._doubting.doubtful
        return Books(
            summary.ledger,
            Counter({m: n for m, n in self._traffic.rejected.items() if m not in doubtful}),
            self._traffic.divergent - summary.ledger.doubtful,
            doubtful,
            summary.events.total(),
        )

    async def close(self) -> None:
        """Give up and disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._publisher.stop()
