"""The producer: sends batches that every in-sync replica acknowledges.

Batches are built here, per partition: aiokafka's `send` costs a future and a task switch for each
record, and its default partitioner hashes keys in Python. The worker, the commands and the
producing side (`openwhisk`, which runs without Faust) all send through `BatchProducer`.

aiokafka numbers the batches of an idempotent producer before it sends them. A batch that fails for
good leaves a gap: the broker refuses everything that follows in that partition with
OutOfOrderSequenceNumber, for as long as the producer lives. So whatever makes a numbered batch
fail, its client is discarded; it finishes what it has in flight, and a new one sends the rest.

That is aiokafka 0.14 (aio-libs/aiokafka#1017, open, where an unreachable cluster leaves the gap).
Kafka's own producer takes the number back, or begins a new epoch. To see it: send a record, one
that is larger than the topic's `max.message.bytes`, and another (`tests/contract`).
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerNotAvailableError,
    CorruptRecordException,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    RecordListTooLargeError,
    RecordTooLargeError,
    ReplicaNotAvailableError,
    StaleLeaderEpochCodeError,
    UnknownError,
    UnknownProducerId,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from app.kafka.byte_budget import ByteBudget
from app.kafka.clients import BATCH_BYTES, RECORD_OVERHEAD, codec, producer_options
from app.kafka.patches.unpacked_size import SLACK
from app.kafka.topics import TopicNames
from app.settings import Compression, KafkaSettings

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Seconds between attempts, where only time helps."""

ANSWER_SECONDS = 60.0
"""Seconds for a batch to be acknowledged; after that a new client takes over. It may succeed where
the old one cannot: aiokafka never goes back to the bootstrap addresses, even if all brokers have
moved.
"""

LATE_SECONDS = 5.0
"""Seconds without an acknowledgement after which records are reported as waiting."""

STOP_SECONDS = 5.0
"""Seconds that batches in flight get when the producer stops."""

_GIVE_UP_SECONDS, _GIVE_UP_LOOKS = 2.0, 40
"""Seconds to end a client that does not stop, and how many checks to make in that time."""

IN_FLIGHT_BYTES = 64 * 1024 * 1024
"""Bytes that aiokafka may have at a time, over all partitions.

aiokafka puts one batch of every partition into a request. A broker closes the connection without an
error on a request of more than 100 MiB (`socket.request.max.bytes`).
"""

REQUEST_BYTES = 100 * 1024 * 1024 - RECORD_OVERHEAD
"""Largest record in bytes that a broker accepts by default (`socket.request.max.bytes`)."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_NOT_NUMBERED = (KafkaTimeoutError, UnknownTopicOrPartitionError)
"""Failures that precede the numbering of a batch."""

_SPENT = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)
"""Failures that a new producer does not have."""


_TRANSIENT = (
    BrokerNotAvailableError,
    CorruptRecordException,
    ReplicaNotAvailableError,
    StaleLeaderEpochCodeError,
    UnknownError,
)
"""Transient failures that aiokafka does not mark as retriable. Kafka's own client retries most of
them (13 is `NETWORK_EXCEPTION` by now). An unknown error is an internal one of the broker, or comes
from a newer broker.
"""


class Outgoing(msgspec.Struct, gc=False):
    """A record to send."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []
    partition: int | None = None
    """If not given, the key decides, and without a key chance."""

    timestamp: int | None = None
    """Epoch millis; by default the time of sending."""


Acknowledged = Callable[[Sequence[Outgoing], int], None]
"""Called with records that were acknowledged together and the offset of the first one. The offset
is negative if Kafka had already written them and does not say where.
"""


class Client(Protocol):
    """The part of `AIOKafkaProducer` that is used here."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Send what is buffered, and disconnect."""

    async def partitions_for(self, topic: str) -> set[int]:
        """The partitions of a topic."""

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        """Queue a batch; the returned future resolves once it is acknowledged."""


class _Sent(NamedTuple):
    """The outcome of sending the records of one partition."""

    too_large: list[Outgoing]
    left: Sequence[Outgoing]
    """The records that are still to be sent, in order."""

    error: KafkaError | None = None
    """Why they were not sent; None if they can be sent at once."""


def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition for a key, by its CRC32: only the persister writes to its own topics."""
    return crc32(key or b"") % partitions


class BatchProducer:
    """An idempotent producer of batches that outlives its clients.

    Args:
        settings: how to connect, the largest record, and the compression of the persister's topics.
        compressed: the topics whose batches are compressed, and how, instead of the internal topic
            and the dead-letter topic.
        request_timeout: seconds for a broker to answer a request before aiokafka repeats it.
        answer_timeout: seconds for a batch to be acknowledged before a new client sends it again.
        new_client: makes a client that is not yet started.
        end: ends the worker, with the topic and the error of a permanent refusal. If given, `send`
            does not raise such an error, but waits until it is cancelled.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        compressed: Mapping[str, Compression] | None = None,
        *,
        request_timeout: float = 40.0,
        answer_timeout: float = ANSWER_SECONDS,
        new_client: Callable[[], Client] | None = None,
        end: Callable[[str, KafkaError], None] | None = None,
    ) -> None:
        self._settings = settings
        self._end = end
        if compressed is None:
            names = TopicNames(settings.topic_prefix)
            compressed = dict.fromkeys([names.documents, names.dead_letters], settings.compression)
        self._codecs = {topic: codec(compression) for topic, compression in compressed.items()}
        self._request_timeout = request_timeout
        self._answer_timeout = answer_timeout
        self._new_client = new_client or self._make_client
        self._client: Client | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        """One batch at a time per partition, so that none waits inside a client that is discarded.
        """
        self._waiting: dict[asyncio.Timeout, tuple[float, str]] = {}
        """Who waits for metadata of the client in use until it is discarded: since when, and for
        which topic.
        """
        self._closing: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._in_flight = ByteBudget(IN_FLIGHT_BYTES)
        self._largest_compressed = settings.max_record_bytes + SLACK
        """Bytes of the largest batch that is compressed: readers decompress no more."""
        self._largest = max(self._largest_compressed, REQUEST_BYTES)
        self._batch_bytes: dict[str, int] = {}
        """Smaller limits than `BATCH_BYTES`, for topics whose brokers refuse that size."""
        self._failing: set[str] = set()
        self._unanswered: dict[BatchBuilder, tuple[float, str]] = {}

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: no broker can be reached, or it refuses.
        """
        self._client = await self._connect()

    def connect_soon(self) -> asyncio.Task[None]:
        """Connect in the background, trying for as long as Kafka is unreachable.

        If Kafka refuses, the task raises `KafkaError`, and so does `send`.
        """
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._reconnect())
            self._connecting.add_done_callback(_seen)
        return self._connecting

    async def stop(self, deadline: float = STOP_SECONDS) -> None:
        """Wait at most `deadline` seconds for batches in flight, and disconnect."""
        self._stopped = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._client is not None:
            self._discard(self._client)
        if self._closing:
            _, late = await asyncio.wait(self._closing, timeout=deadline)
            for task in late:
                task.cancel()
            if late:
                logger.warning("Kafka did not acknowledge everything within %g s", deadline)
                await asyncio.wait(late)

    async def send(
        self,
        topic: str,
        records: Iterable[Outgoing],
        acknowledged: Acknowledged | None = None,
    ) -> list[Outgoing]:
        """Send records; returns those that are too large, once all others are acknowledged.

        Transient failures (a broker that is down, a leader that moves, a topic that does not exist
        yet) are retried for as long as it takes. If only the acknowledgement of a batch was lost,
        the batch may then be written twice; the guard and the database sort that out.

        A record is too large if the topic refuses it in a batch of its own (`max.message.bytes`).
        If it refuses a batch of several records, smaller batches are sent from then on.

        Args:
            topic: where to send them.
            records: in order; records of the same partition keep it.
            acknowledged: called with each batch that was acknowledged.

        Raises:
            KafkaError: a permanent failure, such as a missing right.
        """
        left: Sequence[Outgoing] = list(records)
        too_large: list[Outgoing] = []
        while left:
            try:
                sent = await self._attempt(topic, left, acknowledged)
            except KafkaError as refusal:
                if self._end is None or self._stopped:
                    raise
                self._end(topic, refusal)
                await asyncio.get_running_loop().create_future()
            too_large += [record for part in sent for record in part.too_large]
            left = [record for part in sent for record in part.left]
            error = next((part.error for part in sent if part.error), None)
            if error is not None:
                self._failed(topic, error)
                await asyncio.sleep(RETRY_SECONDS)
        self._took(topic)
        return too_large

    @property
    def trouble(self) -> str:
        """Why records are waiting to be sent; empty while none are."""
        late = time.monotonic() - LATE_SECONDS
        waiting = chain(self._unanswered.values(), self._waiting.values())
        topics = {topic for since, topic in waiting if since < late}
        topics |= {topic or "any topic" for topic in self._failing}
        return f"Kafka does not take records of {', '.join(sorted(topics))}" if topics else ""

    async def answers(self, topic: str, timeout: float) -> bool:  # noqa: ASYNC109 - a bound
        """Whether a broker answers within `timeout` seconds and knows the topic."""
        client: Any = None
        answered = False
        try:
            async with asyncio.timeout(timeout):
                client = await self._connected()
                answered = await client.client.force_metadata_update()
                return answered and bool(await client.partitions_for(topic))
        except (TimeoutError, KafkaError):
            return False
        finally:
            if not answered and client is not None:
                # Perhaps only this client cannot reach the brokers.
                self._discard(client)

    async def _attempt(
        self, topic: str, records: Sequence[Outgoing], acknowledged: Acknowledged | None
    ) -> list[_Sent]:
        """Send records to their partitions, as far as this client gets."""
        client = await self._connected()
        try:
            async with self._while_used(client, topic):
                count = len(await client.partitions_for(topic))
        except KafkaError as error:
            return [self._interrupted(topic, error, [], records)]
        by_partition: defaultdict[int, list[Outgoing]] = defaultdict(list)
        keyless = random.randrange(count)  # noqa: S311 - to spread them
        for record in records:
            if record.partition is not None:
                by_partition[record.partition].append(record)
            elif record.key is not None:
                by_partition[crc32(record.key) % count].append(record)
            else:
                by_partition[keyless].append(record)
        sent = await asyncio.gather(
            *(
                self._send_partition(client, topic, number, part, acknowledged)
                for number, part in by_partition.items()
            ),
            # Also that of the others is told before one that fails for good ends them all.
            return_exceptions=True,
        )
        refusals = [one for one in sent if isinstance(one, BaseException)]
        if refusals:
            raise refusals[0]
        return [one for one in sent if isinstance(one, _Sent)]

    async def _send_partition(
        self,
        client: Client,
        topic: str,
        partition: int,
        records: Sequence[Outgoing],
        acknowledged: Acknowledged | None,
    ) -> _Sent:
        """Send one batch after the other until all are acknowledged or one fails."""
        too_large: list[Outgoing] = []
        start = 0
        while start < len(records):
            batch, count = self._batch(topic, records, start)
            end, alone, size = start + count, count == 1, batch.size()
            if alone and size > self._largest:
                too_large.append(records[start])
                start = end
                continue
            try:
                async with self._turns[topic, partition]:
                    if client is not self._client:
                        return _Sent(too_large, records[start:])
                    offset = await self._send_batch(client, topic, partition, batch)
            except _TOO_LARGE:
                if alone:
                    too_large.append(records[start])
                    return _Sent(too_large, records[end:])
                self._send_smaller(topic, size)
                return _Sent(too_large, records[start:])
            except KafkaError as error:
                place = f"{topic}/{partition}"
                return self._interrupted(place, error, too_large, records[start:])
            if acknowledged is not None:
                acknowledged(records[start:end], offset)
            start = end
        return _Sent(too_large, [])

    async def _send_batch(
        self, client: Client, topic: str, partition: int, batch: BatchBuilder
    ) -> int:
        """Return the offset of a batch once it is acknowledged; discards the client on failure."""
        async with self._in_flight.take(batch.size()):
            try:
                async with self._while_used(client, topic):
                    if partition not in await client.partitions_for(topic):
                        raise UnknownTopicOrPartitionError(f"{topic} has no partition {partition}")
                    sent = await client.send_batch(batch, topic, partition=partition)
            except KafkaError as error:
                if not isinstance(error, _NOT_NUMBERED):
                    self._discard(client)
                raise
            # Not awaited itself: who gives up would cancel what only shields aiokafka's own future,
            # and asyncio would report the error that this may still come to.
            sent.add_done_callback(_seen)
            self._unanswered[batch] = (time.monotonic(), topic)
            try:
                await asyncio.wait([sent], timeout=self._answer_timeout)
                if not sent.done():
                    raise KafkaTimeoutError(f"no answer for {self._answer_timeout:g} s")
                offset: int = sent.result().offset
            except KafkaError:
                self._discard(client)
                raise
            finally:
                del self._unanswered[batch]
        return offset

    def _batch(
        self, topic: str, records: Sequence[Outgoing], start: int
    ) -> tuple[BatchBuilder, int]:
        """A batch with what fits into one of the records from `start` on, and their number."""
        most = self._batch_bytes.get(topic, BATCH_BYTES)
        batch = BatchBuilder(most, self._codecs.get(topic, 0))
        count = _fill(batch, islice(records, start, None))
        if batch.size() > self._largest_compressed:  # there is only one record in it
            batch = BatchBuilder(most, 0)
            count = _fill(batch, records[start : start + 1])
        return batch, count

    def _interrupted(
        self,
        place: str,
        error: KafkaError,
        too_large: list[Outgoing],
        left: Sequence[Outgoing],
    ) -> _Sent:
        """What is left to send after an error; raises the error if it is permanent."""
        if self._stopped or not _passes(error):
            error.add_note(f"while sending to {place}")
            raise error
        return _Sent(too_large, left, error)

    def _send_smaller(self, topic: str, refused: int) -> None:
        """Halve the batch size of a topic that refused a batch of `refused` bytes."""
        if refused // 2 < self._batch_bytes.get(topic, BATCH_BYTES):
            self._batch_bytes[topic] = refused // 2
            logger.warning(
                "Topic %s refuses a batch of %d bytes (its max.message.bytes): sending smaller "
                "ones, which is slower",
                *(topic, refused),
            )

    async def _connected(self) -> Client:
        """The client in use, or a new one; waits for as long as Kafka is unreachable."""
        while self._client is None:
            # Shielded, because others may be waiting for the same connection.
            await asyncio.shield(self.connect_soon())
        return self._client

    async def _reconnect(self) -> None:
        try:
            while self._client is None:
                try:
                    self._client = await self._connect()
                except KafkaError as error:
                    if self._stopped or not _passes(error):
                        raise
                    self._failed("", error)
                    await asyncio.sleep(RETRY_SECONDS)
            self._failing.discard("")  # there may be nothing to send, by which it would show
        finally:
            self._connecting = None

    async def _connect(self) -> Client:
        if self._stopped:
            raise ProducerClosed
        client = self._new_client()
        try:
            await client.start()
        except BaseException:
            await client.stop()
            raise
        return client

    def _make_client(self) -> Client:
        client: Client = AIOKafkaProducer(
            **producer_options(self._settings),
            request_timeout_ms=int(self._request_timeout * 1000),
        )
        return client

    @asynccontextmanager
    async def _while_used(self, client: Client, topic: str) -> AsyncIterator[None]:
        """Wait for metadata of the client in use, for no longer than it is in use.

        aiokafka 0.14 (`_wait_on_metadata`) waits for ever once its client is closed.

        Raises:
            KafkaTimeoutError: the client was discarded, perhaps before.
        """
        if client is not self._client:
            raise KafkaTimeoutError("the client was discarded")
        waiting = asyncio.timeout(None)
        try:
            async with waiting:
                self._waiting[waiting] = (time.monotonic(), topic)
                yield
        except TimeoutError:
            raise KafkaTimeoutError("the client was discarded") from None
        finally:
            self._waiting.pop(waiting, None)

    def _discard(self, client: Client) -> None:
        """Stop using a client, which may still finish its batches in flight."""
        if client is self._client:
            self._client = None
            waiting, self._waiting = self._waiting, {}
            for one in waiting:
                one.reschedule(asyncio.get_running_loop().time())
            task = asyncio.get_running_loop().create_task(
                close_client(client, self._answer_timeout)
            )
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _failed(self, topic: str, error: KafkaError) -> None:
        """Log once that sending to a topic fails."""
        if topic not in self._failing:
            self._failing.add(topic)
            place = f"to {topic}" if topic else f"to Kafka at {self._settings.url}"
            logger.warning("Sending %s fails (%r); trying again until it works", place, error)

    def _took(self, topic: str) -> None:
        if self._failing:
            if topic in self._failing:
                logger.info("Kafka takes records of %s again", topic)
            self._failing -= {topic, ""}


START_SECONDS = 60.0
"""How long a producer that somebody waits for may take to connect."""


@asynccontextmanager
async def open_producer(settings: KafkaSettings) -> AsyncIterator[BatchProducer]:
    """Connect for as long as the block runs.

    Raises:
        KafkaError: no broker can be reached, or it refuses.
        TimeoutError: Kafka gives no producer's id, for which aiokafka asks for ever.
    """
    producer = BatchProducer(settings)
    try:
        async with asyncio.timeout(START_SECONDS):
            await producer.start()
        yield producer
    finally:
        await producer.stop()


def _seen(future: asyncio.Future[Any]) -> None:
    """Retrieve an exception, lest asyncio report it: the senders get it, if there still are any."""
    if not future.cancelled():
        future.exception()


async def close_client(client: Any, patience: float) -> None:
    """Close an `AIOKafkaProducer` once it has sent its batches, or after `patience` seconds."""
    try:
        async with asyncio.timeout(patience):
            await client.stop()
    except (TimeoutError, asyncio.CancelledError):
        await _give_up(client)
    _fail_what_is_left(client)


async def _give_up(client: Any) -> None:
    """End a client that does not stop, and would otherwise keep trying in the background.

    aiokafka has no method for this. Its sender waits for batches in flight, and these wait, once
    their connection is closed, for metadata that a closed client never receives.
    """
    await client.client.close()
    ending = asyncio.ensure_future(client._sender.close())  # noqa: SLF001
    for _ in range(_GIVE_UP_LOOKS):
        metadata = getattr(client.client, "_md_update_fut", None)
        if metadata is not None and not metadata.done():
            metadata.set_result(False)
        done, _ = await asyncio.wait([ending], timeout=_GIVE_UP_SECONDS / _GIVE_UP_LOOKS)
        if done:
            break
    ending.cancel()
    await asyncio.wait([ending])


def _fail_what_is_left(client: Any) -> None:
    """Fail the batches that are left in a client that has ended.

    One of those who wait for them is aiokafka's own task, which waits for all batches, even those
    that were in flight when the sender ended. It would wait for ever, and asyncio would complain.
    """
    left = client._message_accumulator  # noqa: SLF001
    pending = left._pending_batches  # noqa: SLF001
    for batch in [*chain.from_iterable(left._batches.values()), *pending]:  # noqa: SLF001
        pending.add(batch)  # `failure` removes it again
        batch.failure(ProducerClosed())
        # Retrieved, or asyncio would report that nobody did.
        batch.future.exception()
        batch._drain_waiter.exception()  # noqa: SLF001


def _passes(error: KafkaError) -> bool:
    # aiokafka does not mark its own time-out as retriable, although a batch may have waited only
    # for the one before it, to a broker that is down. A bare KafkaError is what its sender raises
    # for an unexpected exception.
    return (
        bool(error.retriable)
        or isinstance(error, (KafkaTimeoutError, *_SPENT, *_TRANSIENT))
        or type(error) is KafkaError
    )


def _fill(batch: Any, records: Iterable[Outgoing]) -> int:
    """Append the records that fit to an empty batch, at least one; returns how many.

    Does what `BatchBuilder.append` does for each record, in half the time.
    """
    append = batch._builder.append  # noqa: SLF001
    count = 0
    for record in records:
        if append(count, record.timestamp, record.key, record.value, record.headers) is None:
            break
        count += 1
    batch._relative_offset = count  # noqa: SLF001
    batch.close()
    return count
