"""Simulated controllers and invokers: real store and acknowledgements, no containers."""

from collections import Counter
from collections.abc import Sequence
from functools import cache

from app.kafka.topics import completed_topic
from app.settings import KafkaSettings
from dev.traffic.events import Again, Ended, Event, Junk, Ran, Unrunnable
from dev.traffic.setup import Setup
from models.instances import InvokerInstance
from models.wire import Version
from openwhisk.acknowledgements import Acknowledgements
from openwhisk.invoker import Invoker
from openwhisk.publisher import Publisher, PublishError
from openwhisk.store import KafkaActivationStore, Publishes, StoreRole, ensure_store_topic


async def ensure_topics(publisher: Publisher, setup: Setup, settings: KafkaSettings) -> None:
    """Create a deployment's missing topics as OpenWhisk does.

    Raises:
        KafkaError: Kafka is not reachable or refuses.
    """
    for topic in setup.completed_topics:
        await publisher.ensure_topic(completed_topic(topic))
    await ensure_store_topic(publisher, setup.store_topic, settings)


class CountingPublisher:
    """Counts acknowledged records by topic."""

    def __init__(self, publisher: Publishes) -> None:
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self._publisher = publisher

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """Return when the record is acknowledged."""
        await self._publisher.publish(topic, value, key)
        self._count(topic, value)

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        """Publish many records; returns for each what `publish` would have raised."""
        errors = await self._publisher.publish_all(topic, values)
        for value, error in zip(values, errors, strict=True):
            if error is None:
                self._count(topic, value)
        return errors

    def _count(self, topic: str, value: bytes) -> None:
        self.messages[topic] += 1
        self.bytes[topic] += len(value)


class Fleet:
    """Sends an event's messages as the deployment's components would."""

    def __init__(self, publisher: Publishes, setup: Setup) -> None:
        self._publisher = publisher
        self._setup = setup
        self._invoker = cache(self._new_invoker)
        self._controller_store = cache(self._new_controller_store)

    async def send(self, event: Event) -> None:
        """Send all messages of an event; returns when Kafka has acknowledged them.

        Raises:
            PublishError: Kafka did not take it; for an invoker's messages an `ExceptionGroup`.
            NotStored: the same, of a store.
        """
        match event:
            case Junk(topic, value, _):
                await self._publisher.publish(topic, value)
            case Again(activity, _):
                await self.send(activity)
            case Ended():
                store = self._controller_store(event.version)
                await store.store(event.transid, event.activation, blocking=event.blocking)
            case Unrunnable():
                await self._invoker(event.version, event.invoker).could_not_run(
                    event.transid,
                    event.activation,
                    blocking=event.blocking,
                    controller=event.controller,
                )
            case Ran():
                await self._ran(event)

    async def _ran(self, event: Ran) -> None:
        async def logs() -> list[str]:
            return event.logs

        await self._invoker(event.version, event.invoker).ran(
            event.transid,
            event.activation,
            blocking=event.blocking,
            controller=event.controller,
            collect_logs=logs,
        )

    def _new_invoker(self, version: Version, number: int) -> Invoker:
        return Invoker(
            InvokerInstance(instance=number, user_memory="1024 MB"),
            Acknowledgements(self._publisher, self._setup.topics, version=version),
            self._store(StoreRole.INVOKER, version),
            self._setup.log_mode,
        )

    def _new_controller_store(self, version: Version) -> KafkaActivationStore:
        return self._store(StoreRole.CONTROLLER, version)

    def _store(self, role: StoreRole, version: Version) -> KafkaActivationStore:
        return KafkaActivationStore(
            self._publisher,
            role,
            self._setup.log_mode,
            self._setup.topics,
            rules=self._setup.rules,
            invoker_records=self._setup.invoker_records,
            version=version,
        )
