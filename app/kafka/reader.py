"""Reads whole topics: every record between two offsets, one fetch at a time.

For the commands (audit, dead letters, replay) and for what workers tell one another: they belong to
no consumer group and commit nothing.
"""

import asyncio
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from app.kafka.allowance import Allowance, cost
from app.kafka.clients import client_options
from app.kafka.patches.checked_batches import Received, check_batches
from app.kafka.patches.noted_throttling import throttling
from app.kafka.patches.unreadable_answers import unreadable
from app.kafka.records import PlacedRecord
from app.kafka.stopping import stop_consumer
from app.settings import KafkaSettings

__all__ = ["Bounds", "ReadError", "Reader", "TopicPartition", "open_reader"]

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""How long to wait for records that should exist, or for where a partition begins and ends."""

ANSWER_SECONDS = 13.0
"""How long an answer may take before it is asked for again: twice in `SILENCE_SECONDS`."""

RETRY_SECONDS = 0.1

THROTTLED_SECONDS = 600.0
"""The same while Kafka throttles this client."""

DAMAGED_SECONDS = 1.0
"""The pause before damaged records are fetched again."""

TOGETHER = 200
"""Records that are handed over at a time to whoever follows a partition."""

LATEST = 200
"""Records before its end to read of a partition of which more has come than is worth reading."""

STOP_SECONDS = 5.0
"""How long to wait for a client to disconnect."""


class ReadError(Exception):
    """Kafka does not let a topic be read to its end; the message is for the operator."""


class Bounds(NamedTuple):
    """A part of a partition."""

    start: int
    """The first offset."""

    end: int
    """The offset after the last one."""


class Reader:
    """Reads parts of partitions, one after the other.

    Every method raises `KafkaError` when Kafka cannot be reached or refuses, and `ReadError` when
    it does not answer in time, or does not let this topic be read.

    Args:
        consumer: started, without a group, and used for nothing else; `open_reader` makes one.
        clock: monotonic seconds.
        shelf: what the consumer has received; None if nobody follows a partition.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        clock: Callable[[], float] = monotonic,
        *,
        shelf: Received | None = None,
    ) -> None:
        self._consumer = consumer
        self._shelf = shelf
        self._clock = clock

    async def bounds(self, topic: str, partitions: int) -> dict[TopicPartition, Bounds]:
        """The current bounds of each of a topic's partitions.

        Args:
            topic: its name.
            partitions: how many it has; 0 for a topic that does not exist, which yields nothing.
        """
        numbers = [TopicPartition(topic, number) for number in range(partitions)]
        starts, ends = await asyncio.gather(self.starts(numbers), self.ends(numbers))
        return {number: Bounds(starts[number], ends[number]) for number in numbers}

    async def since(
        self, bounds: Mapping[TopicPartition, Bounds], timestamp: int
    ) -> dict[TopicPartition, Bounds]:
        """Narrow bounds down to start at the first record since a time (epoch millis).

        The bounds of a partition without such a record become empty.
        """
        times = dict.fromkeys(bounds, timestamp)
        found = await self._asked(self._consumer.offsets_for_times, times)
        return {
            number: Bounds(max(start, found[number].offset) if found[number] else end, end)
            for number, (start, end) in bounds.items()
        }

    async def starts(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition that Kafka still has."""
        return await self._asked(self._consumer.beginning_offsets, partitions)

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of each partition that the next record will get."""
        return await self._asked(self._consumer.end_offsets, partitions)

    async def _asked(
        self, ask: Callable[[Any], Awaitable[dict[TopicPartition, Any]]], partitions: Any
    ) -> dict[TopicPartition, Any]:
        """Ask for offsets of each of some partitions."""
        topics = ", ".join(sorted({partition.topic for partition in partitions}))
        with _explained(topics):
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    found = await _insist(ask, partitions) if partitions else {}
            except TimeoutError:
                lied = unreadable.told
                why = f"{lied}:" if lied else "was it deleted meanwhile, or is its leader away?"
                raise ReadError(
                    f"Kafka does not say within {SILENCE_SECONDS:g} s where topic {topics} begins "
                    f"and ends: {why} try again"
                ) from None
        if len(found) < len(partitions):
            raise ReadError(f"Kafka does not say where all partitions of {topics} begin and end")
        return dict(found)

    async def records(
        self, partition: TopicPartition, bounds: Bounds
    ) -> AsyncIterator[PlacedRecord]:
        """All records of a part of a partition, in order.

        Raises:
            ReadError: Kafka stops sending before the end.
        """
        start, end = bounds
        if start >= end:
            # aiokafka 0.14 may hang in `stop` if it has just taken over an assignment.
            return
        self._consumer.assign([partition])
        self._consumer.seek(partition, start)
        position, since = start, self._clock()
        while position < end:
            records, trouble = await self._fetched(partition)
            for record in records:
                if record.offset < end:
                    yield record
            before, position = position, await self._position(partition, position)
            if position != before:
                _check_forward(partition, before, position)
                since = self._clock()
            elif self._clock() - since > SILENCE_SECONDS - DAMAGED_SECONDS:
                # Who answers nonsense may as well say that it throttles.
                throttled = "" if unreadable.told else throttling.told
                if not throttled or self._clock() - since > THROTTLED_SECONDS:
                    why = trouble or unreadable.told or throttled or "try again"
                    raise ReadError(
                        f"Kafka sends nothing more of {partition.topic}/{partition.partition} from "
                        f"offset {position} on: {why}"
                    )
                logger.warning("%s/%d: %s", *partition, throttled)

    async def _fetched(self, partition: TopicPartition) -> tuple[Sequence[PlacedRecord], str]:
        """The next records, none if there are none for long; or what is wrong with them."""
        with _explained(partition.topic):
            try:
                fetched = await self._consumer.getmany(
                    partition, timeout_ms=int(SILENCE_SECONDS * 1000)
                )
            except CorruptRecordException:
                # It may have been damaged on the way: it is fetched again.
                await asyncio.sleep(DAMAGED_SECONDS)
                return (), "a wrong checksum. See the log and the disk of the partition's leader"
        return fetched.get(partition, ()), ""

    async def _position(self, partition: TopicPartition, before: int) -> int:
        """Where to read next.

        aiokafka 0.14 waits for ever while Kafka says that an offset is none of the log's, and does
        not say where the log begins.
        """
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                position: int = await self._consumer.position(partition)
        except TimeoutError:
            raise ReadError(
                f"Kafka does not say where {partition.topic}/{partition.partition} begins, and "
                f"offset {before} is not there any more: try again"
            ) from None
        return position

    async def follow(
        self, partition: TopicPartition, start: int, pause: float, allowance: Allowance
    ) -> AsyncIterator[list[PlacedRecord]]:
        """The records of a partition from an offset on, and then new ones, without end.

        A few at a time, so that others get their turn in between. Of more than the allowance only
        the latest are read.

        Args:
            partition: which one.
            start: the first offset.
            pause: seconds without a record after which it yields an empty list.
            allowance: how much may be read.
        """
        consumer = self._consumer
        consumer.assign([partition])
        consumer.seek(partition, start)
        received = self._received
        while True:
            fetched = await consumer.getmany(
                partition, timeout_ms=int(pause * 1000), max_records=TOGETHER
            )
            records = fetched.get(partition, [])
            if records:
                start = records[-1].offset + 1
            yield records
            allowance.spend(self._received - received + cost(records))
            received = self._received
            seconds = allowance.wait()
            # Also without a pause: aiokafka hands over what it has fetched without one.
            await asyncio.sleep(seconds)
            if seconds:
                await self._pass_over(partition, start)

    @property
    def _received(self) -> int:
        """Bytes that have come, as they are in Kafka."""
        return self._shelf.received if self._shelf else 0

    async def _pass_over(self, partition: TopicPartition, before: int) -> None:
        """Go on with the latest records of a partition, if many more have come."""
        position = await self._position(partition, before)
        passed = (await self.ends([partition]))[partition] - LATEST - position
        if passed > 0:
            self._consumer.seek(partition, position + passed)
            logger.warning(
                "%d records of %s/%d were not read: more has come there than workers write. Let "
                "nobody but the persister write to this topic",
                *(passed, *partition),
            )


def _check_forward(partition: TopicPartition, before: int, position: int) -> None:
    """Raise `ReadError` if the log has become shorter than what was read of it."""
    if position < before:
        raise ReadError(
            f"{partition.topic}/{partition.partition} has no offset {before} any more, and goes on "
            f"at {position}: was it deleted and created again? Try again"
        )


async def _insist(
    ask: Callable[[Any], Awaitable[dict[TopicPartition, Any]]], partitions: Any
) -> dict[TopicPartition, Any]:
    """Ask again when an answer does not come in time: it may have been lost."""
    while True:
        try:
            return await ask(partitions)
        except KafkaTimeoutError:
            await asyncio.sleep(RETRY_SECONDS)


@contextmanager
def _explained(topic: str) -> Iterator[None]:
    try:
        yield
    except TopicAuthorizationFailedError:
        raise ReadError(
            f"Kafka does not let this user read topic {topic}: grant Describe and Read on it"
        ) from None


@asynccontextmanager
async def open_reader(
    settings: KafkaSettings,
    isolation_level: str = "read_uncommitted",
    *,
    fetch_wait: float = 0.05,
    largest: int | None = None,
    most: int | None = None,
) -> AsyncIterator[Reader]:
    """Connect for as long as the block runs; raises `KafkaError` if no broker can be reached.

    A batch that cannot be unpacked, or would be much larger than the largest record, is read as a
    single record without key and value, in place of its last one.

    Args:
        settings: how to connect.
        isolation_level: `read_committed` leaves out the records of aborted transactions.
        fetch_wait: seconds that a broker may wait for new records. For a reader that stops at the
            end of a partition, a long wait there would delay the next partition.
        largest: the most bytes of unpacked records that a batch may have; None for those of the
            largest record.
        most: the most records that a batch may have; None for as many as there is memory for.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        group_id=None,
        request_timeout_ms=int(ANSWER_SECONDS * 1000),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation_level,
        fetch_max_wait_ms=int(fetch_wait * 1000),
        # Pause of the fetcher when it finds nothing to fetch; an answer or a seek wakes it at once.
        consumer_timeout_ms=max(1000, int(2000 * fetch_wait)),
    )
    try:
        await consumer.start()
        shelf = check_batches(consumer, largest or settings.max_record_bytes, most)
        yield Reader(consumer, shelf=shelf)
    finally:
        await stop_consumer(consumer, STOP_SECONDS)
