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
from app.kafka.topics import TopicNames
from app.settings import Compression, KafkaSettings

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Between attempts, where nothing but time helps."""

ANSWER_SECONDS = 60.0
"""For one batch. Kafka may answer a new client when it does not answer this one: when
all brokers have moved, an aiokafka client never looks at the bootstrap addresses again."""

LATE_SECONDS = 5.0
"""Seconds without an acknowledgement after which a warning says that records wait."""

STOP_SECONDS = 5.0
"""Seconds for what is in flight when the producer stops."""

_GIVE_UP_SECONDS, _GIVE_UP_LOOKS = 2.0, 40
"""For a client that does not stop; how often it is looked at meanwhile."""

IN_FLIGHT_BYTES = 64 * 1024 * 1024
"""Handed to aiokafka at a time, over all partitions.

aiokafka puts a batch of every partition into one request, and a broker closes the connection on a
request of more than 100 MiB (`socket.request.max.bytes`) without saying why."""

REQUEST_BYTES = 100 * 1024 * 1024 - RECORD_OVERHEAD
"""Of a record that a broker can read at all, unless it is set up for larger ones."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
_NOT_NUMBERED = (KafkaTimeoutError, UnknownTopicOrPartitionError)
"""Failures before a batch has a sequence number."""

_SPENT = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownProducerId,
)
"""Failures of a producer that another one does not have."""


_TRANSIENT = (
    BrokerNotAvailableError,
    CorruptRecordException,
    ReplicaNotAvailableError,
    StaleLeaderEpochCodeError,
    UnknownError,
)
"""Failures that pass and that aiokafka does not mark so. After most of them Kafka's own client
sends again (13 is `NETWORK_EXCEPTION` by now). An unknown one is a broker's own trouble, or comes
from a newer broker."""


class Outgoing(msgspec.Struct, gc=False):
    """A record to be sent."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []
    partition: int | None = None
    """Decided by the key when it is not given, and by chance when there is no key either."""

    timestamp: int | None = None
    """Epoch millis; the time of sending when it is not given."""


Acknowledged = Callable[[Sequence[Outgoing], int], None]
"""Told of records that have been acknowledged together, and the offset of the first; it is negative
where Kafka had written them before and does not say where."""


class Client(Protocol):
    """What is used of an `AIOKafkaProducer`."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Send what is buffered, and disconnect."""

    async def partitions_for(self, topic: str) -> set[int]:
        """The partitions of a topic."""

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        """Queue a batch; the future is its acknowledgement."""


class _Sent(NamedTuple):
    """How far the records of one partition have come."""

    too_large: list[Outgoing]
    left: Sequence[Outgoing]
    """What is still to be sent, in order."""

    error: KafkaError | None = None
    """Why, where it is for this partition to wait."""


def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition for a key: CRC32, since only the persister writes to its topics."""
    return crc32(key or b"") % partitions


class BatchProducer:
    """An idempotent producer of batches that outlives its clients.

    Args:
        settings: where Kafka is, the largest record, and how the internal topic is compressed.
        compressed: instead, the topics whose batches are compressed, and how.
        request_timeout: seconds for a broker to answer a request, before it is asked again.
        answer_timeout: seconds for a batch to be acknowledged, before a new client sends it again.
        new_client: makes a client that is not started yet.
        end: ends the worker, of which an operator then learns what a topic does not take, and why.
            Then nothing is raised: who sends waits until it is stopped.
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
            compressed = {TopicNames(settings.topic_prefix).documents: settings.compression}
        self._codecs = {topic: codec(compression) for topic, compression in compressed.items()}
        self._request_timeout = request_timeout
        self._answer_timeout = answer_timeout
        self._new_client = new_client or self._make_client
        self._client: Client | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        """One batch of a partition at a time: none waits within a client that is discarded."""
        self._closing: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._in_flight = ByteBudget(IN_FLIGHT_BYTES)
        self._largest = max(settings.max_record_bytes + RECORD_OVERHEAD, REQUEST_BYTES)
        self._batch_bytes: dict[str, int] = {}
        """By topic, where the broker refuses batches of `BATCH_BYTES`."""
        self._failing: set[str] = set()
        self._unanswered: dict[BatchBuilder, tuple[float, str]] = {}

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: no broker can be reached, or it refuses.
        """
        self._client = await self._connect()

    def connect_soon(self) -> asyncio.Task[None]:
        """Connect in the background, for as long as Kafka is away.

        The task raises `KafkaError` where Kafka refuses; so does `send`.
        """
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._reconnect())
            self._connecting.add_done_callback(_seen)
        return self._connecting

    async def stop(self, deadline: float = STOP_SECONDS) -> None:
        """Wait for what is in flight, at most `deadline` seconds, and disconnect."""
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
        """Send records; returns, once all others are acknowledged, those that are too large.

        What can pass (a broker that is down, a leader that moves, a topic that is not there yet) is
        tried again for as long as it takes. A batch that was written before its acknowledgement was
        lost may then be there twice, which the guard and the database settle.

        A record is too large when the topic refuses it alone (`max.message.bytes`). Where it
        refuses several together, they are sent in smaller batches from then on.

        Args:
            topic: where to.
            records: in the order in which those of one partition are to stand.
            acknowledged: is told of each batch that was.

        Raises:
            KafkaError: what does not pass by itself, such as a missing right.
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
        """Why records wait to be sent; empty while they do not."""
        late = time.monotonic() - LATE_SECONDS
        topics = {topic for since, topic in self._unanswered.values() if since < late}
        topics |= {topic or "any topic" for topic in self._failing}
        return f"Kafka does not take records of {', '.join(sorted(topics))}" if topics else ""

    async def answers(self, topic: str, timeout: float) -> bool:  # noqa: ASYNC109 - a bound
        """Whether a broker answers within this many seconds, and knows the topic."""
        client: Any = None
        answered = False
        try:
            async with asyncio.timeout(timeout):
                client = await self._connected()
                await client.partitions_for(topic)
                answered = await client.client.force_metadata_update()
        except (TimeoutError, KafkaError):
            answered = False
        if not answered and client is not None:
            # It may be this client alone that cannot reach them.
            self._discard(client)
        return answered

    async def _attempt(
        self, topic: str, records: Sequence[Outgoing], acknowledged: Acknowledged | None
    ) -> list[_Sent]:
        """Send records to their partitions, as far as it goes without a new client."""
        client = await self._connected()
        try:
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
        return await asyncio.gather(
            *(
                self._send_partition(client, topic, number, part, acknowledged)
                for number, part in by_partition.items()
            )
        )

    async def _send_partition(
        self,
        client: Client,
        topic: str,
        partition: int,
        records: Sequence[Outgoing],
        acknowledged: Acknowledged | None,
    ) -> _Sent:
        """Send one batch after the other, until all are acknowledged or one fails."""
        too_large: list[Outgoing] = []
        start = 0
        while start < len(records):
            batch = BatchBuilder(
                self._batch_bytes.get(topic, BATCH_BYTES), self._codecs.get(topic, 0)
            )
            end = start + _fill(batch, islice(records, start, None))
            alone, size = end == start + 1, batch.size()
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
        """Return the offset of a batch once it is acknowledged; discard a client that fails."""
        async with self._in_flight.take(batch.size()):
            try:
                if partition not in await client.partitions_for(topic):
                    raise UnknownTopicOrPartitionError(f"{topic} has no partition {partition}")
                sent = await client.send_batch(batch, topic, partition=partition)
            except KafkaError as error:
                if not isinstance(error, _NOT_NUMBERED):
                    self._discard(client)
                raise
            self._unanswered[batch] = (time.monotonic(), topic)
            try:
                async with asyncio.timeout(self._answer_timeout):
                    offset: int = (await sent).offset
            except TimeoutError:
                self._discard(client)
                raise KafkaTimeoutError(f"no answer for {self._answer_timeout:g} s") from None
            except KafkaError:
                self._discard(client)
                raise
            finally:
                del self._unanswered[batch]
        return offset

    def _interrupted(
        self,
        place: str,
        error: KafkaError,
        too_large: list[Outgoing],
        left: Sequence[Outgoing],
    ) -> _Sent:
        """What is left after an error; raises it when it does not pass by itself."""
        if self._stopped or not _passes(error):
            error.add_note(f"while sending to {place}")
            raise error
        return _Sent(too_large, left, error)

    def _send_smaller(self, topic: str, refused: int) -> None:
        """Send batches of at most half the bytes that a topic has refused."""
        if refused // 2 < self._batch_bytes.get(topic, BATCH_BYTES):
            self._batch_bytes[topic] = refused // 2
            logger.warning(
                "Topic %s refuses a batch of %d bytes (its max.message.bytes): sending smaller "
                "ones, which is slower",
                *(topic, refused),
            )

    async def _connected(self) -> Client:
        """The client in use, or a new one, which may take as long as Kafka is away."""
        while self._client is None:
            # Who stops waiting leaves it to the others.
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

    def _discard(self, client: Client) -> None:
        """Send no more through this client; what it has in flight, it may finish."""
        if client is self._client:
            self._client = None
            task = asyncio.get_running_loop().create_task(_close(client, self._answer_timeout))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _failed(self, topic: str, error: KafkaError) -> None:
        """Say once that sending to a topic fails."""
        if topic not in self._failing:
            self._failing.add(topic)
            place = f"to {topic}" if topic else f"to Kafka at {self._settings.url}"
            logger.warning("Sending %s fails (%r); trying again until it works", place, error)

    def _took(self, topic: str) -> None:
        if self._failing:
            if topic in self._failing:
                logger.info("Kafka takes records of %s again", topic)
            self._failing -= {topic, ""}


@asynccontextmanager
async def open_producer(settings: KafkaSettings) -> AsyncIterator[BatchProducer]:
    """Connect for as long as the block runs; raises `KafkaError` where no broker is reached."""
    producer = BatchProducer(settings)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


def _seen(task: asyncio.Task[None]) -> None:
    """Retrieve a task's exception, which the senders get as well."""
    if not task.cancelled():
        task.exception()


async def _close(client: Any, patience: float) -> None:
    """Close a client once it has sent what it has, or at once when that takes too long."""
    try:
        async with asyncio.timeout(patience):
            await client.stop()
    except (TimeoutError, asyncio.CancelledError):
        await _give_up(client)
    _fail_what_is_left(client)


async def _give_up(client: Any) -> None:
    """End a client that does not stop, which would otherwise go on trying in the background.

    aiokafka has no way to do this. Its sender waits for what is in flight, and that, once its
    connection is closed, for metadata that a closed client never gets.
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
    """Tell whoever still waits for a batch of a client that has ended.

    One of them is aiokafka's own task that waits for all batches, those included that were in
    flight when the sender ended. It would wait for ever, and asyncio complain of that.
    """
    left = client._message_accumulator  # noqa: SLF001
    pending = left._pending_batches  # noqa: SLF001
    for batch in [*chain.from_iterable(left._batches.values()), *pending]:  # noqa: SLF001
        pending.add(batch)  # aiokafka takes it out of there again
        batch.failure(ProducerClosed())
        # asyncio would say that nobody has looked at these.
        batch.future.exception()
        batch._drain_waiter.exception()  # noqa: SLF001


def _passes(error: KafkaError) -> bool:
    # aiokafka's own time-out is not marked as such: with a broker that is down, a batch waits only
    # so long for the one before it. A bare KafkaError is how its sender ends on a surprise.
    return (
        bool(error.retriable)
        or isinstance(error, (KafkaTimeoutError, *_SPENT, *_TRANSIENT))
        or type(error) is KafkaError
    )


def _fill(batch: Any, records: Iterable[Outgoing]) -> int:
    """Append to an empty batch of aiokafka's what fits, at least one record; returns how many.

    As `BatchBuilder.append` does it for one record at a time, in half the time.
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
