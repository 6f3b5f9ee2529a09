"""Publishes records: "published" means "acknowledged by every in-sync replica".

`Publisher` is shared by the activation store, the acknowledgements and the gateway. It adds to the
one producer (`app.kafka.producer`) a deadline per record, a bound on the bytes in flight and typed
errors. What is published while Kafka still has the records before it goes together as a batch.
"""

import asyncio
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from app.kafka.admin import open_admin
from app.kafka.byte_budget import ByteBudget
from app.kafka.errors import KafkaError
from app.kafka.producer import ANSWER_SECONDS, BatchProducer, Outgoing
from app.kafka.topics import TopicSpec
from app.process.turn import Turn
from app.settings import KafkaSettings

logger = logging.getLogger(__name__)

_PROBE_TIMEOUT = 2.0
"""Seconds for a broker to answer a health check."""

_TOGETHER_BYTES = 1024 * 1024
"""Most bytes to publish together, because the first record then waits for the last."""

_LARGE_BYTES = 256 * 1024
"""Bytes of records published together above which they go over the connection for large ones:
Kafka takes one request after the other on a connection, and a large one takes it a while.
"""


class PublishError(Exception):
    """A record is not (or not known to be) on Kafka; the message says why."""


class NotAcknowledged(PublishError):  # noqa: N818 - what happened, in Kafka's words
    """Kafka did not acknowledge in time. The record may still arrive; send it again."""


class TakenBack(NotAcknowledged):
    """Nobody waits for the record any more, and no producer had it: it does not arrive."""


class TooLarge(PublishError):  # noqa: N818
    """The record is larger than the topic or the producer accepts; it will never pass."""


class Outcomes:
    """What became of records that are published together.

    One future for all of them: one for each would take longer than all else that is done.

    Args:
        number: how many records there are.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._known: dict[int, PublishError | None] = {}
        self._errors = False
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Resolves once the outcomes of all of them are known."""

    def set(self, place: int, error: PublishError | None) -> None:
        """Set the outcome of one: None once it is acknowledged, or the error."""
        self._known[place] = error
        self._errors = self._errors or error is not None
        if len(self._known) == self._number and not self.complete.done():
            self.complete.set_result(None)

    @property
    def all_acknowledged(self) -> bool:
        """Whether Kafka has all of them, which is asked without a look at each."""
        return len(self._known) == self._number and not self._errors

    @property
    def arrived(self) -> list[int]:
        """The places of those that Kafka has acknowledged, or may have although sending failed."""
        return [
            place
            for place, error in self._known.items()
            if not isinstance(error, TakenBack | TooLarge)
        ]

    @property
    def unknown(self) -> list[int]:
        """The places of those that the producer may still send, or has sent without an answer."""
        return [place for place in range(self._number) if place not in self._known]

    def all(self, otherwise: PublishError | None) -> list[PublishError | None]:
        """Those of all, in order; `otherwise` where none is known."""
        if self.all_acknowledged:
            return [None] * self._number
        return [self._known.get(place, otherwise) for place in range(self._number)]


class _Record(msgspec.Struct, eq=False, gc=False):
    """A record on its way: of those that are published together, the one at this place."""

    outgoing: Outgoing
    size: int
    """Bytes of its key and value."""

    outcomes: Outcomes
    place: int

    def settle(self, error: PublishError | None) -> None:
        """Set the outcome."""
        self.outcomes.set(self.place, error)


class _Lane(NamedTuple):
    """Records that are sent one batch after the other."""

    topic: str
    large: bool


class Publisher:
    """Publishes records with `acks=all` from idempotent producers.

    Large records, and many that are published together, have a producer of their own, so that no
    others wait behind them.

    Args:
        kafka: how to connect, and the largest record.
        deadline: seconds that one `publish` may take, including retries and waiting for room.
        bytes_in_flight: most bytes that are accepted and not yet acknowledged.
        new_producer: makes a producer; by default one with time-outs that fit the deadline.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        deadline: float = 30.0,
        bytes_in_flight: int = 64 * 1024 * 1024,
        new_producer: Callable[[], BatchProducer] | None = None,
    ) -> None:
        self.budget = ByteBudget(bytes_in_flight)
        self.failing_since: float | None = None
        """When the first failure since the last acknowledgement was (monotonic seconds)."""
        self._kafka = kafka
        self._deadline = deadline
        new_producer = new_producer or self._new_producer
        self._producer, self._large_producer = new_producer(), new_producer()
        self._waiting: defaultdict[_Lane, OrderedDict[_Record, None]] = defaultdict(OrderedDict)
        """The records that no producer has yet, oldest first. Any of them may be taken back,
        without a look at those before it.
        """
        self._sending: dict[_Lane, asyncio.Task[None]] = {}

    @property
    def trouble(self) -> str:
        """Why records are waiting to be sent; empty while none are."""
        return self._producer.trouble or self._large_producer.trouble

    async def start(self) -> None:
        """Start to connect in the background; records wait for the connection.

        The connection for large records is only made for the first of them.
        """
        self._producer.connect_soon()

    async def stop(self, deadline: float = 10.0) -> None:
        """Wait at most `deadline` seconds for records in flight, then close."""
        sending = list(self._sending.values())
        if sending:
            _, late = await asyncio.wait(sending, timeout=deadline)
            for task in late:
                task.cancel()
            if late:
                logger.error("Kafka did not acknowledge everything within %s s", deadline)
        await asyncio.gather(self._producer.stop(), self._large_producer.stop())

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """Publish a record; returns once Kafka has acknowledged it.

        After the deadline the producer may still have the record and send it later; until then its
        bytes count as in flight.

        Raises:
            NotAcknowledged: not acknowledged within the deadline, or refused by the broker.
            TooLarge: larger than `PERSISTER_MAX_RECORD_BYTES` or the topic's `max.message.bytes`.
        """
        (error,) = await self.publish_all(topic, [value], keys=None if key is None else [key])
        if error:
            raise error

    async def publish_all(
        self,
        topic: str,
        values: Sequence[bytes],
        timestamps: Sequence[int] | None = None,
        keys: Sequence[bytes] | None = None,
        outcomes: Outcomes | None = None,
    ) -> list[PublishError | None]:
        """Publish many records; returns for each what `publish` would have raised, in order.

        Large ones may overtake what was published before, and be overtaken.

        Args:
            topic: its full name.
            values: the values of the records.
            timestamps: their timestamps in epoch millis; by default the time of sending.
            keys: their keys, by which they are spread over partitions; by default at random.
            outcomes: tells what becomes of them, also of those that the producer still has when the
                deadline has passed or the caller was cancelled.
        """
        if not values:
            return []
        none: list[None] = [None] * len(values)
        given = zip(keys or none, values, timestamps or none, strict=True)
        outcomes = outcomes or Outcomes(len(values))
        size = sum(map(len, values)) + sum(map(len, keys or ()))
        lane = _Lane(topic, size > _LARGE_BYTES)
        late = NotAcknowledged(f"topic {topic}: taken back")
        records: list[_Record] = []
        handed_over = 0
        turn = Turn()
        try:
            async with asyncio.timeout(self._deadline):
                for key, value, at in given:
                    outgoing = Outgoing(key, value, timestamp=at)
                    record = _Record(outgoing, len(value) + len(key or b""), outcomes, handed_over)
                    records.append(record)
                    await self._hand_over(lane, record)
                    handed_over += 1
                    if turn.over:
                        await turn.pass_on()
                await asyncio.shield(outcomes.complete)
        except TimeoutError:
            late = self._failed(f"no acknowledgement for topic {topic} within {self._deadline:g} s")
        finally:
            if not outcomes.complete.done():
                taken_back = TakenBack(str(late))
                self._withdraw(lane, records, taken_back)
                for place in range(handed_over, len(values)):
                    outcomes.set(place, taken_back)
        return outcomes.all(late)

    async def reachable(self, topic: str) -> bool:
        """Whether a broker answers now and knows the topic."""
        return await self._producer.answers(topic, _PROBE_TIMEOUT)

    async def ensure_topic(self, topic: TopicSpec) -> bool:
        """Create the topic if it is missing; leaves an existing one as it is.

        Returns:
            Whether it was created.

        Raises:
            KafkaError: Kafka cannot be reached, or refuses.
        """
        async with open_admin(self._kafka) as admin:
            return await admin.create(topic, self._kafka.replication)

    async def _hand_over(self, lane: _Lane, record: _Record) -> None:
        """Queue a record once there is room for its bytes."""
        if record.size > self._kafka.max_record_bytes:
            record.settle(
                TooLarge(
                    f"{record.size} bytes; PERSISTER_MAX_RECORD_BYTES is "
                    f"{self._kafka.max_record_bytes}"
                )
            )
            return
        await self.budget.acquire(record.size)
        self._waiting[lane][record] = None
        if lane not in self._sending:
            task = asyncio.get_running_loop().create_task(self._send_waiting(lane))
            self._sending[lane] = task

    def _withdraw(self, lane: _Lane, records: Sequence[_Record], why: PublishError) -> None:
        """Take back those of these records that no producer has yet: nobody waits for them."""
        waiting = self._waiting[lane]
        left = [record for record in records if record in waiting]
        for record in left:
            del waiting[record]
            record.settle(why)
        self.budget.release(sum(record.size for record in left))

    async def _send_waiting(self, lane: _Lane) -> None:
        try:
            while self._waiting[lane]:
                await self._send(lane, self._next(lane))
        finally:
            del self._sending[lane]

    def _next(self, lane: _Lane) -> list[_Record]:
        """The next records to send together, oldest first."""
        waiting = self._waiting[lane]
        record, _ = waiting.popitem(last=False)
        records, size = [record], record.size
        while waiting and size + next(iter(waiting)).size <= _TOGETHER_BYTES:
            record, _ = waiting.popitem(last=False)
            records.append(record)
            size += record.size
        return records

    async def _send(self, lane: _Lane, records: Sequence[_Record]) -> None:
        topic, producer = lane.topic, self._large_producer if lane.large else self._producer
        left = {id(record.outgoing): record for record in records}

        def settle(
            outgoing: Iterable[Outgoing], error: Callable[[_Record], PublishError | None]
        ) -> None:
            settled = [left.pop(id(one)) for one in outgoing]
            self.budget.release(sum(record.size for record in settled))
            for record in settled:
                record.settle(error(record))

        def acknowledged(outgoing: Sequence[Outgoing], _offset: int) -> None:
            self._acknowledged()
            settle(outgoing, lambda _: None)

        error = NotAcknowledged(f"topic {topic}: stopped")
        try:
            outgoing = [record.outgoing for record in records]
            too_large = await producer.send(topic, outgoing, acknowledged)
            settle(
                too_large,
                lambda record: TooLarge(
                    f"topic {topic} takes no record of this size: {record.size} bytes"
                ),
            )
        except Exception as failure:
            if not isinstance(failure, KafkaError):
                logger.exception("cannot publish to topic %s for a reason unforeseen", topic)
            error = self._failed(f"topic {topic}: {failure!r}")
        finally:
            # Whatever has happened: somebody may wait for the outcomes for ever.
            settle([record.outgoing for record in left.values()], lambda _: error)

    def _new_producer(self) -> BatchProducer:
        return BatchProducer(
            self._kafka,
            # Short enough to give up on a hanging broker and try again.
            request_timeout=max(1.0, self._deadline / 3),
            answer_timeout=min(ANSWER_SECONDS, max(2.0, self._deadline * 2 / 3)),
        )

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
