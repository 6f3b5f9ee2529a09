"""Scans the dead-letter topic, up to the end that it had when the scan began."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

from app.dead_letters.errors import LettersError
from app.kafka.reader import Bounds, Reader, TopicPartition, open_reader
from app.kafka.records import PlacedRecord
from app.settings import KafkaSettings
from models.dead_letter import DeadLetter


class LetterId(NamedTuple):
    """A letter's place in the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        """`12`, or `3/12` in a partition other than the first."""
        return f"{self.partition}/{self.offset}" if self.partition else str(self.offset)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the result of `str`; raises `ValueError`."""
        partition, _, offset = text.rpartition("/")
        return cls(_natural(partition or "0"), _natural(offset))


class Letter(NamedTuple):
    """A dead letter and its place."""

    id: LetterId
    set_aside_at: int
    """In epoch millis of Kafka's clock."""

    content: DeadLetter


class Letters:
    """The letters between the topic's start and the end that it had when it was opened.

    Args:
        reader: not to be used for anything else at the same time.
        topic: the dead-letter topic.
        bounds: the part of each partition to read.
    """

    def __init__(self, reader: Reader, topic: str, bounds: dict[TopicPartition, Bounds]) -> None:
        self._reader = reader
        self._topic = topic
        self._bounds = bounds
        self.unreadable = 0
        """How many of the records read so far are not dead letters."""

    def __len__(self) -> int:
        """How many offsets `read` covers."""
        return sum(end - start for start, end in self._bounds.values())

    async def since(self, timestamp: int | None) -> Self:
        """The letters set aside at this time (epoch millis) or later; all if it is None.

        Raises:
            KafkaError: Kafka is not reachable.
        """
        if timestamp is None:
            return self
        later = await self._reader.since(self._bounds, timestamp)
        return type(self)(self._reader, self._topic, later)

    async def read(self) -> AsyncGenerator[tuple[int, Letter | None], None]:
        """Yield all letters in order, each with the number of offsets that the scan has advanced.

        A record that is not a dead letter is None.

        Raises:
            ReadError: Kafka stops sending.
        """
        for partition, bounds in self._bounds.items():
            position = bounds.start
            async for record in self._reader.records(partition, bounds):
                letter = _letter(record)
                self.unreadable += letter is None
                yield record.offset + 1 - position, letter
                position = record.offset + 1

    async def get(self, wanted: LetterId) -> Letter:
        """Read one letter.

        Raises:
            LettersError: there is no letter with this id.
            ReadError: Kafka does not send it.
        """
        partition = TopicPartition(self._topic, wanted.partition)
        start, end = self._bounds.get(partition, Bounds(0, 0))
        if not start <= wanted.offset < end:
            raise LettersError(
                f"There is no letter {wanted}: partition {wanted.partition} of {self._topic} holds "
                f"{f'{start} to {end - 1}' if start < end else 'none'}"
            )
        alone = Bounds(wanted.offset, wanted.offset + 1)
        async for record in self._reader.records(partition, alone):
            letter = _letter(record)
            if letter:
                return letter
        raise LettersError(f"What is at {wanted} in {self._topic} is no dead letter")


@asynccontextmanager
async def open_letters(
    settings: KafkaSettings, topic: str, partitions: int
) -> AsyncIterator[Letters]:
    """Open the letters between the current beginning and end of the topic.

    Args:
        settings: how to connect.
        topic: the dead-letter topic.
        partitions: how many it has; 0 if it does not exist.

    Raises:
        LettersError: the topic does not exist.
        KafkaError: Kafka is not reachable.
    """
    if not partitions:
        raise LettersError(
            f"Kafka shows no topic {topic}: no worker has run with this PERSISTER_TOPIC_PREFIX "
            "yet, or this user lacks the right Describe on it"
        )
    async with open_reader(settings) as reader:
        yield Letters(reader, topic, await reader.bounds(topic, partitions))


def _letter(record: PlacedRecord) -> Letter | None:
    try:
        content = DeadLetter.from_record(record.key, record.value, record.headers)
    except ValueError:
        return None
    return Letter(LetterId(record.partition, record.offset), record.timestamp, content)


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no number")
    return int(text)
