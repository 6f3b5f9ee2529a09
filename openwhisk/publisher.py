"""Sending records to Kafka so that "sent" means "acknowledged by every in-sync replica".

`Publisher` is shared by the activation store and the gateway. It adds to aiokafka's producer a
deadline per record, a bound on the bytes in flight, typed errors, and a new producer when the old
one can't go on.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
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

from app.kafka import client_options, producer_options
from app.settings import KafkaSettings

logger = logging.getLogger(__name__)

_RETRY_PAUSE = 0.2
"""Seconds between attempts."""

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


class ByteBudget:
    """Bounds the bytes in flight. Waiters are served in order; what exceeds it goes alone.

    Args:
        limit: most bytes at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self._waiters: deque[tuple[asyncio.Future[None], int]] = deque()

    async def acquire(self, size: int) -> None:
        """Wait until `size` more bytes may be in flight, and count them."""
        if not self._waiters and self._fits(size):
            self.in_flight += size
            return
        waiter = asyncio.get_running_loop().create_future()
        entry = (waiter, size)
        self._waiters.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(size)
            else:
                self._waiters.remove(entry)
                self._admit()
            raise

    def release(self, size: int) -> None:
        """Give back `size` bytes."""
        self.in_flight -= size
        self._admit()

    def _fits(self, size: int) -> bool:
        return self.in_flight == 0 or self.in_flight + size <= self.limit

    def _admit(self) -> None:
        while self._waiters and self._fits(self._waiters[0][1]):
            waiter, size = self._waiters.popleft()
            if not waiter.done():
                self.in_flight += size
                waiter.set_result(None)


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
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to connect, in the background: records wait for the connection."""
        self._connect()

    async def stop(self, deadline: float = 10.0) -> None:
        """Wait for what is in flight, at most `deadline` seconds, then close."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel()
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
        size = len(value) + len(key or b"")
        if size > self._kafka.max_record_bytes:
            largest = self._kafka.max_record_bytes
            raise TooLarge(f"{size} bytes; PERSISTER_MAX_RECORD_BYTES is {largest}")
        try:
            async with asyncio.timeout(self._deadline):
                await self._publish(topic, value, key, size)
        except TimeoutError:
            reason = f"no acknowledgement for topic {topic} within {self._deadline:g} s"
            raise self._failed(reason) from None
        self._acknowledged()

    async def reachable(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 - one place decides
        """Whether a broker answers now; `timeout` in seconds."""
        try:
            async with asyncio.timeout(timeout):
                producer = await asyncio.shield(self._connect())
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

    async def _publish(self, topic: str, value: bytes, key: bytes | None, size: int) -> None:
        while True:
            producer = await asyncio.shield(self._connect())
            await self.budget.acquire(size)
            try:
                future = await producer.send(topic, value, key)
            except BaseException as error:
                self.budget.release(size)
                if not isinstance(error, KafkaError):
                    raise
                self._judge(error, topic, producer)
            else:
                # The producer holds the bytes until then, however long the caller waits.
                future.add_done_callback(lambda _: self.budget.release(size))
                try:
                    await asyncio.shield(future)
                except KafkaError as error:
                    self._judge(error, topic, producer)
                else:
                    return
            await asyncio.sleep(_RETRY_PAUSE)

    def _judge(self, error: KafkaError, topic: str, producer: Any) -> None:
        """Return if another attempt makes sense, with a new producer if the old one is spent.

        aiokafka retries by itself what an idempotent producer can retry. A batch that failed
        nevertheless leaves a gap in its sequence numbers: the broker refuses all that follow.
        """
        if not isinstance(error, _PRODUCER_GOES_ON):
            self._discard(producer)
        if isinstance(error, _TOO_LARGE):
            raise TooLarge(f"topic {topic} takes no record of this size: {error}") from error
        if isinstance(error, _FOR_GOOD):
            raise self._failed(f"topic {topic}: {error!r}") from error

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
