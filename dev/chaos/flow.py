"""Continuous traffic, and the record of what was produced."""

import asyncio
from collections import Counter
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
        self.doubtful: set[Message] = set()
        self.open = asyncio.Event()
        """While it is not set, what is published waits."""
        self.open.set()
        self._publisher = publisher

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """As the publisher's."""
        await self.open.wait()
        try:
            await self._publisher.publish(topic, value, key)
        except PublishError:
            self.doubtful.add((topic, value))
            raise

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        """As the publisher's."""
        await self.open.wait()
        errors = await self._publisher.publish_all(topic, values)
        for value, error in zip(values, errors, strict=True):
            if error is not None:
                self.doubtful.add((topic, value))
        return errors


class Flow:
    """Sends events in the background at a given rate.

    Args:
        kafka_url: `kafka://host:port`.
        prefix: of the topics.
        seed: of the events.
        rate: events per second.
    """

    def __init__(self, kafka_url: str, prefix: str, *, seed: int, rate: float) -> None:
        self.setup = Setup(topics=TopicNames(prefix=prefix), invoker_records=InvokerRecords.ALL)
        self._settings = KafkaSettings.model_validate({"PERSISTER_KAFKA_URL": kafka_url})
        self._traffic = Endless(self.setup, seed=seed, mix=MIX)
        self._rate = rate
        self._publisher = Publisher(self._settings, deadline=PUBLISH_SECONDS)
        self._doubting = Doubting(self._publisher)
        self._task: asyncio.Task[Summary] | None = None

    async def prepare(self) -> None:
        """Create the topics."""
        await self._publisher.start()
        await ensure_topics(self._publisher, self.setup, self._settings)

    def start(self) -> None:
        """Begin."""
        simulation = Simulation(
            self._traffic, self._doubting, rate=self._rate, duration=float("inf")
        )
        self._task = asyncio.create_task(simulation.run())

    def pause(self) -> None:
        """Send nothing more for now; what is under way arrives."""
        self._doubting.open.clear()

    def resume(self) -> None:
        """Go on."""
        self._doubting.open.set()

    async def stop(self) -> Books:
        """Stop, and return when everything begun is on Kafka."""
        if self._task is None:
            raise RuntimeError("it was never started")
        self._traffic.stopped = True
        self.resume()
        summary = await self._task
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
