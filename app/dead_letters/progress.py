"""The log of replayed letters, kept in Kafka so that any machine can resume a replay.

Sending a letter and noting that it was sent are two records in two topics, and a process can die
between them. A transaction over both is no option: workers would read its markers, which look like
records that are never finished, and later like lost ones. So a letter is noted as *claimed* before
it is sent, together with the end of its topic at that moment, and as *replayed* once it is
acknowledged. If only the claim is there, the topic from that offset on shows whether the letter
arrived: every replayed record names its letter in a header.

A transactional producer writes the log, with the same id in every run, because of its fencing: a
second replay that starts while one is running stops the first one before its next claim.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec

from app.dead_letters.errors import LettersError
from app.dead_letters.reading import Letter, LetterId
from app.kafka.admin import Admin
from app.kafka.reader import open_reader
from app.kafka.records import PlacedRecord
from app.kafka.topics import replays_topic
from app.kafka.transactions import (
    FencedError,
    TransactionalProducer,
    open_transactional_producer,
)
from app.settings import KafkaSettings


class State(StrEnum):
    """How far the replay of a letter is."""

    CLAIMED = "claimed"
    REPLAYED = "replayed"


class Note(msgspec.Struct, frozen=True):
    """The latest state of one letter; the key of its record is the letter's id."""

    state: State
    set_aside_at: int
    """The letter's timestamp, which tells it from one with the same id before the topic was
    re-created.
    """

    topic: str
    partition: int
    offset: int
    """With `topic` and `partition`: where the letter is sent to. The end of that partition before
    it was sent.
    """

    attempt: int = 0
    """How often the record has been sent, including this time; 0 in notes of earlier versions."""

    digest: str = ""
    """Digest of the sent value, because anybody may write a header that names a letter."""

    landed: int | None = None
    """The offset that it was acknowledged with."""

    def done(self, landed: int | None) -> "Note":
        """The note after an acknowledgement at this offset; None if Kafka does not say where."""
        return msgspec.structs.replace(self, state=State.REPLAYED, landed=landed)


def digest(value: bytes | None) -> str:
    """The digest of a record's value."""
    return sha256(value or b"").hexdigest()


@dataclass
class Progress:
    """The state of all letters in the log."""

    notes: dict[LetterId, Note] = field(default_factory=dict)
    last_note_at: int = 0
    """When the last note was written, in epoch millis of Kafka's clock."""

    _landed: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def note(self, letter_id: LetterId, note: Note) -> None:
        """Apply a note."""
        self.notes[letter_id] = note
        if note.landed is not None:
            self._landed[note.topic, note.partition, note.landed] = note.attempt

    def counted(self, letter: Letter) -> Letter:
        """The letter, with how often its record had been replayed before it was set aside.

        Looks up the record's place in the log, because anybody could have written a header. The
        count in the letter of a document is the worker's own, and is trusted.
        """
        content = letter.content
        place = content.topic, content.partition, content.offset
        attempts = max(content.attempts, self._landed.get(place, 0))
        return letter._replace(content=content.derive(attempts=attempts))

    def replayed(self, letter: Letter) -> bool:
        """Whether this letter has been sent."""
        note = self.notes.get(letter.id)
        return (
            note is not None
            and note.state is State.REPLAYED
            and note.set_aside_at == letter.set_aside_at
        )

    def open_claims(self) -> dict[LetterId, Note]:
        """The claims of letters of which it is unknown whether they were sent."""
        return {
            letter_id: note for letter_id, note in self.notes.items() if note.state is State.CLAIMED
        }


async def read_progress(settings: KafkaSettings, topic: str) -> Progress:
    """Read the whole log, which must exist.

    Raises:
        LettersError: something else is in the topic.
        ReadError: Kafka stops sending.
        KafkaError: Kafka is not reachable.
    """
    progress = Progress()
    # Notes of aborted transactions must not count.
    async with open_reader(settings, isolation_level="read_committed") as reader:
        for log, bounds in (await reader.bounds(topic, 1)).items():
            async for record in reader.records(log, bounds):
                _take(progress, record)
    return progress


def _take(progress: Progress, record: PlacedRecord) -> None:
    try:
        letter_id = LetterId.parse((record.key or b"").decode())
        if record.value is None:
            progress.notes.pop(letter_id, None)
        else:
            progress.note(letter_id, _decoder.decode(record.value))
    except (ValueError, msgspec.DecodeError) as error:
        raise LettersError(
            f"Offset {record.offset} of {record.topic} is no note about a replay: {error}"
        ) from None
    progress.last_note_at = record.timestamp


class ProgressLog:
    """Writes notes; each call returns once they are durable.

    Raises:
        LettersError: raised by every method if another replay has started.
    """

    def __init__(self, producer: TransactionalProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def write(self, notes: Mapping[LetterId, Note]) -> None:
        """Write all of these notes, or none."""
        await self._write({id_: _encoder.encode(note) for id_, note in notes.items()})

    async def forget(self, letters: Iterable[LetterId]) -> None:
        """Withdraw claims of letters that were not sent."""
        await self._write(dict.fromkeys(letters))

    async def _write(self, values: Mapping[LetterId, bytes | None]) -> None:
        if not values:
            return
        try:
            await self._producer.write(
                self._topic, [(str(id_).encode(), value) for id_, value in values.items()]
            )
        except FencedError:
            raise LettersError("Another replay has begun meanwhile; this one stops") from None


@asynccontextmanager
async def open_log(settings: KafkaSettings, admin: Admin, topic: str) -> AsyncIterator[ProgressLog]:
    """Create the topic if it is missing, and fence off any other writer.

    Raises:
        KafkaError: Kafka cannot be reached, or refuses.
    """
    await admin.create(replays_topic(topic, settings), settings.replication)
    async with open_transactional_producer(settings, transactional_id=topic) as producer:
        yield ProgressLog(producer, topic)


_decoder: msgspec.json.Decoder[Note] = msgspec.json.Decoder(Note)
_encoder: Any = msgspec.json.Encoder()
