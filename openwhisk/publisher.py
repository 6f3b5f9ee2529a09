"""Sending records to Kafka so that "sent" means "acknowledged by every in-sync replica".

`Publisher` is shared by the activation store and the gateway. It adds to aiokafka's producer a
deadline per record, a bound on the bytes in flight, typed errors, and a new producer when the old
one can't go on.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from app.kafka.byte_budget import ByteBudget
from app.kafka.clients import client_options, producer_options
from app.settings import KafkaSettings

logger = logging.getLogger(__name__)

_RETRY_PAUSE = 0.2
"""Seconds between attempts."""

_PROBE_TIMEOUT = 2.0
"""Seconds for a broker to answer a question about its health."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_FOR_GOOD = (
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    TopicAuthorizationFailedError,
)
_PRODUCER_GOES_ON = (KafkaTimeoutError, UnknownTopicOrPartitionError)


class PublishError(Exception):
    """A record is not (or not known to be) on Kafka; the message says why."""


class NotAcknowledged(PublishError):  # noqa: N818 - what happened, in Kafka's words
    """Kafka did not acknowledge in time. The record may still get there: send it again."""


class TooLarge(PublishError):  # noqa: N818
    """The record is larger than the topic or the producer takes; it will never pass."""


class _Record:
    """A record on its way."""

    __slots__ = ("acknowledged", "error", "failure", "key", "size", "value")

    def __init__(self, value: bytes, key: bytes | None = None) -> None:
        self.value = value
        self.key = key
        self.size = len(value) + len(key or b"")
        self.acknowledged = False
        self.error: PublishError | None = None
        """Why it is given up."""
        self.failure: KafkaError | None = None
        """How the last attempt ended."""

    @property
    def settled(self) -> bool:
        """Whether no attempt is needed any more."""
        return self.acknowledged or self.error is not None

    def settle(self, sent: asyncio.Future[Any]) -> None:
        """Take over how an attempt ended."""
        failure = None if sent.cancelled() else sent.exception()
        if isinstance(failure, KafkaError):
            self.failure = failure
        elif failure is None and not sent.cancelled():
            self.acknowledged = True


class Publisher:
    """Publishes records with `acks=all` from an idempotent producer.

    Args:
        kafka: brokers and the largest record.
        deadline: seconds that one `publish` may take, retries and waiting for room included.
        bytes_in_flight: most bytes handed to the producer and not acknowledged yet.
        linger: seconds that a batch waits for more records.
        new_producer: makes a producer that is not started yet; tests pass a fake.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        deadline: float = 30.0,
        bytes_in_flight: int = 64 * 1024 * 1024,
        linger: float = 0.005,
        new_producer: Callable[[], Any] | None = None,
    ) -> None:
        self.budget = ByteBudget(bytes_in_flight)
        self.failing_since: float | None = None
        """Monotonic time of the first failure since the last acknowledgement."""
        self._kafka = kafka
        self._deadline = deadline
        self._linger = linger
        self._new_producer = new_producer or self._producer
        self._connection: asyncio.Task[Any] | None = None
        self._turn = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to connect, in the background: records wait for the connection."""
        self._connect()

    async def stop(self, deadline: float = 10.0) -> None:
        """Wait for what is in flight, at most `deadline` seconds, then close."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel()
            await asyncio.wait([connection])
            if _succeeded(connection):
                self._close(connection.result())
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=deadline)
            for task in late:
                task.cancel()
            if late:
                logger.error("Kafka did not acknowledge everything within %s s", deadline)

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """Return when Kafka has acknowledged the record.

        When the deadline passes, the record may still be with the producer and arrive later; its
        bytes count as in flight until then.

        Raises:
            NotAcknowledged: not acknowledged within the deadline, or refused by the broker.
            TooLarge: larger than `PERSISTER_MAX_RECORD_BYTES` or the topic's `max.message.bytes`.
        """
        record = _Record(value, key)
        await self._publish(topic, [record])
        if record.error:
            raise record.error

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        """Publish many records; what `publish` would have raised for each, in order."""
        records = [_Record(value) for value in values]
        await self._publish(topic, records)
        return [record.error for record in records]

    async def reachable(self, topic: str) -> bool:
        """Whether a broker answers now and knows the topic."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                producer = await asyncio.shield(self._connect())
                await producer.partitions_for(topic)
                answered: bool = await producer.client.force_metadata_update()
        except (TimeoutError, KafkaError):
            return False
        return answered

    async def ensure_topic(
        self, topic: str, partitions: int, config: Mapping[str, str] | None = None
    ) -> bool:
        """Create the topic if it is missing; an existing one is left as it is.

        Args:
            topic: its full name.
            partitions: how many, when it is created.
            config: topic settings (`retention.ms` ...), when it is created.

        Returns:
            Whether it was created now.

        Raises:
            KafkaError: Kafka is not reachable or refuses.
        """
        admin = AIOKafkaAdminClient(**client_options(self._kafka))
        try:
            await admin.start()
            answer = await admin.create_topics(
                [
                    NewTopic(
                        topic, partitions, self._kafka.replication, topic_configs=dict(config or {})
                    )
                ]
            )
        finally:
            await admin.close()
        _, code, *reason = answer.topic_errors[0]
        error = for_code(code)
        created: bool = code == 0
        if created or error is TopicAlreadyExistsError:
            return created
        raise error(f"cannot create topic {topic}: {reason[0] if reason else error.description}")

    async def _publish(self, topic: str, records: Sequence[_Record]) -> None:
        """Settle every record: acknowledged, or with an error."""
        for record in records:
            if record.size > self._kafka.max_record_bytes:
                record.error = TooLarge(
                    f"{record.size} bytes; PERSISTER_MAX_RECORD_BYTES is "
                    f"{self._kafka.max_record_bytes}"
                )
        try:
            async with asyncio.timeout(self._deadline):
                while unsettled := [record for record in records if not record.settled]:
                    await self._attempt(topic, unsettled)
        except TimeoutError:
            reason = f"no acknowledgement for topic {topic} within {self._deadline:g} s"
            error = self._failed(reason)
            for record in records:
                record.error = record.error or (None if record.acknowledged else error)

    async def _attempt(self, topic: str, records: Sequence[_Record]) -> None:
        producer = await asyncio.shield(self._connect())
        sent: list[asyncio.Future[Any]] = []
        failures: list[tuple[_Record, KafkaError]] = []
        for record in records:
            try:
                sent.append(await self._send(producer, topic, record))
            except KafkaError as error:
                failures.append((record, error))
        if sent:
            await asyncio.wait(sent)
        failures += [(record, record.failure) for record in records if record.failure is not None]
        for record, failure in failures:
            self._judge(record, failure, topic, producer)
        if any(not record.settled for record in records):
            await asyncio.sleep(_RETRY_PAUSE)
        elif any(record.acknowledged for record in records):
            self._acknowledged()

    async def _send(self, producer: Any, topic: str, record: _Record) -> asyncio.Future[Any]:
        # One at a time: aiokafka wakes all who wait for a full batch at once, for a few places.
        async with self._turn:
            await self.budget.acquire(record.size)
            try:
                future: asyncio.Future[Any] = await producer.send(topic, record.value, record.key)
            except BaseException:
                self.budget.release(record.size)
                raise
        record.failure = None

        def settle(future: asyncio.Future[Any]) -> None:
            # The producer holds the bytes until now, however long the caller waited.
            self.budget.release(record.size)
            record.settle(future)

        future.add_done_callback(settle)
        return future

    def _judge(self, record: _Record, error: KafkaError, topic: str, producer: Any) -> None:
        """Settle a record that will never pass; discard the producer if it is spent.

        aiokafka retries by itself what an idempotent producer can retry. A batch that failed
        nevertheless leaves a gap in its sequence numbers: the broker refuses all that follow.
        """
        if not isinstance(error, _PRODUCER_GOES_ON):
            self._discard(producer)
        if isinstance(error, _TOO_LARGE):
            record.error = TooLarge(f"topic {topic} takes no record of this size: {error}")
        elif isinstance(error, _FOR_GOOD):
            record.error = self._failed(f"topic {topic}: {error!r}")

    def _connect(self) -> asyncio.Task[Any]:
        connection = self._connection
        if connection is None or (connection.done() and not _succeeded(connection)):
            connection = asyncio.get_running_loop().create_task(self._connected())
            self._connection = connection
        return connection

    async def _connected(self) -> Any:
        while True:
            producer = self._new_producer()
            try:
                await producer.start()
            except KafkaError as error:
                await producer.stop()
                self._failed(f"cannot connect to {self._kafka.url}: {error!r}")
                await asyncio.sleep(_RETRY_PAUSE)
            except BaseException:
                await producer.stop()
                raise
            else:
                return producer

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **producer_options(self._kafka),
            linger_ms=int(self._linger * 1000),
            # A broker that hangs is given up early enough for another attempt.
            request_timeout_ms=int(max(1.0, self._deadline / 3) * 1000),
        )

    def _discard(self, producer: Any) -> None:
        connection = self._connection
        if connection and _succeeded(connection) and connection.result() is producer:
            self._connection = None
            self._close(producer)

    def _close(self, producer: Any) -> None:
        task = asyncio.get_running_loop().create_task(producer.stop())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _failed(self, reason: str) -> NotAcknowledged:
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            logger.error("Kafka does not take records: %s", reason)
        return NotAcknowledged(reason)

    def _acknowledged(self) -> None:
        if self.failing_since is not None:
            failing = time.monotonic() - self.failing_since
            self.failing_since = None
            logger.warning("Kafka takes records again, after %.1f s", failing)


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
