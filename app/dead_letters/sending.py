"""Sends letters again, each once: claims, sends and notes them in batches."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from app.dead_letters.errors import LettersError
from app.dead_letters.planning import Planned, size
from app.dead_letters.progress import Note, Progress, ProgressLog, State, digest
from app.dead_letters.readiness import Check
from app.dead_letters.reading import LetterId
from app.kafka.access import why_refused
from app.kafka.admin import Admin
from app.kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from app.kafka.metadata import Right
from app.kafka.producer import BatchProducer, Outgoing
from app.kafka.reader import Bounds, Reader, TopicPartition
from app.kafka.records import PlacedRecord
from app.settings import KafkaSettings
from models.dead_letter import REPLAY_OF

BATCH_LETTERS = 200
BATCH_BYTES = 8 * 1024 * 1024
"""Size at which a batch of letters is claimed and sent."""

SEND_SECONDS = 20.0
"""How long Kafka may take to acknowledge a batch."""

SETTLE_SECONDS = 30.0
"""Seconds after the last note of another run, when all letters that it sent have arrived: longer
than `SEND_SECONDS`.
"""


class Sender:
    """Sends planned letters.

    Args:
        producer: a connected producer.
        reader: reads the topics that letters are sent to.
        log: the log of replayed letters.
        check: called before each batch is claimed.
        admin: tells the rights to the topics that letters are sent to.
        settings: name the user.
    """

    def __init__(
        self,
        producer: BatchProducer,
        reader: Reader,
        log: ProgressLog,
        check: Check,
        *,
        admin: Admin,
        settings: KafkaSettings,
    ) -> None:
        self._check = check
        self._admin = admin
        self._settings = settings
        self._producer = producer
        self._reader = reader
        self._log = log
        self._batch: list[Planned] = []
        self._bytes = 0

    async def add(self, planned: Planned) -> int:
        """Add a letter to the batch; returns how many were sent, which is 0 until it is full.

        Raises:
            LettersError: see `flush`.
        """
        self._batch.append(planned)
        self._bytes += size(planned.letter)
        full = len(self._batch) >= BATCH_LETTERS or self._bytes >= BATCH_BYTES
        return await self.flush() if full else 0

    async def flush(self) -> int:
        """Send the batch; returns how many letters it had, all of them acknowledged and noted.

        Raises:
            LettersError: the check fails, a right is missing, Kafka does not take the letters, or
            another replay has started.
        """
        batch, self._batch, self._bytes = self._batch, [], 0
        if not batch:
            return 0
        await self._check()
        await self._check_rights({to.topic for _, to in batch})
        ends = await self._reader.ends({TopicPartition(*to) for _, to in batch})
        claims = {
            letter.id: Note(
                State.CLAIMED,
                letter.set_aside_at,
                *to,
                offset=ends[TopicPartition(*to)],
                attempt=letter.content.attempts + 1,
                digest=digest(letter.content.value),
            )
            for letter, to in batch
        }
        await self._log.write(claims)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                landed = await self._send(batch)
        except (KafkaError, TimeoutError) as error:
            raise LettersError(
                f"Kafka did not acknowledge all letters ({type(error).__name__}): run it again, it "
                "finds out which ones, and goes on"
            ) from error
        await self._log.write({id_: claims[id_].done(offset) for id_, offset in landed.items()})
        if refused := claims.keys() - landed.keys():
            await self._log.forget(refused)
            letters = ", ".join(f"{id_} ({claims[id_].topic})" for id_ in sorted(refused))
            raise LettersError(
                f"These letters are larger than their topics take: {letters}. Raise the topics' "
                "max.message.bytes, or leave them out"
            )
        return len(batch)

    async def _check_rights(self, topics: Collection[str]) -> None:
        """Find out before they are claimed: what is claimed is waited for by the next run."""
        told = await self._admin.rights(topics)
        if refused := sorted(name for name, rights in told.items() if Right.WRITE not in rights):
            raise self._refused(refused, TopicAuthorizationFailedError())

    def _refused(self, topics: Iterable[str], error: KafkaError) -> LettersError:
        why = "; ".join(why_refused(topic, error, self._settings) for topic in topics)
        return LettersError(f"{why}. Then run it again, it goes on")

    async def _send(self, batch: Iterable[Planned]) -> dict[LetterId, int | None]:
        """Send letters; returns the offset of each acknowledged one, None if unknown.

        Letters that are too large for their topics are missing from the result.
        """
        letters: dict[int, LetterId] = {}
        by_topic: defaultdict[str, list[Outgoing]] = defaultdict(list)
        for letter, to in batch:
            content = letter.content
            headers = content.replay_headers(str(letter.id))
            outgoing = Outgoing(content.key, content.value, headers, to.partition)
            letters[id(outgoing)] = letter.id
            by_topic[to.topic].append(outgoing)
        landed: dict[LetterId, int | None] = {}

        def acknowledged(records: Sequence[Outgoing], offset: int) -> None:
            for place, outgoing in enumerate(records, offset):
                # A batch that Kafka had already written is acknowledged without an offset.
                landed[letters[id(outgoing)]] = place if offset >= 0 else None

        async def send(topic: str, records: Sequence[Outgoing]) -> None:
            try:
                await self._producer.send(topic, records, acknowledged)
            except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
                raise self._refused([topic], error) from error

        await asyncio.gather(*(send(topic, records) for topic, records in by_topic.items()))
        return landed

    async def settle(
        self,
        progress: Progress,
        partitions: Mapping[str, int],
        say: Callable[[str], None],
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """Find out which letters an earlier run has sent without noting it.

        Args:
            progress: the content of the log; both are updated.
            partitions: how many each existing topic has.
            say: shows a message to the operator.
            settle_seconds: seconds after that run's last note in which letters may still arrive.
        """
        claims = progress.open_claims()
        if not claims:
            return
        age = time.time() - progress.last_note_at / 1000
        if age < settle_seconds:
            say(f"A replay stopped {max(0, age):.0f} s ago. Waiting until all it sent has arrived.")
            await asyncio.sleep(min(settle_seconds, settle_seconds - age))
        arrived = await self._arrived(
            {
                letter_id: claim
                for letter_id, claim in claims.items()
                if claim.partition < partitions.get(claim.topic, 0)
            }
        )
        sent = {letter_id: claims[letter_id].done(place) for letter_id, place in arrived.items()}
        not_sent = claims.keys() - sent.keys()
        await self._log.write(sent)
        await self._log.forget(not_sent)
        for letter_id, note in sent.items():
            progress.note(letter_id, note)
        for letter_id in not_sent:
            del progress.notes[letter_id]
        say(f"It left open whether {len(claims)} letters were sent: {len(sent)} were.")

    async def _arrived(self, claims: Mapping[LetterId, Note]) -> dict[LetterId, int]:
        """The offsets of the claimed letters in the claimed partitions, since the claims."""
        starts: dict[TopicPartition, int] = {}
        for claim in claims.values():
            partition = TopicPartition(claim.topic, claim.partition)
            starts[partition] = min(claim.offset, starts.get(partition, claim.offset))
        earliest = await self._reader.starts(list(starts))
        ends = await self._reader.ends(list(starts))
        arrivals = Arrivals(claims)
        for partition, start in starts.items():
            # A letter that retention has already deleted there may be sent again. The guard and the
            # database sort that out, whereas not sending a letter could lose it.
            bounds = Bounds(max(start, earliest[partition]), ends[partition])
            async for record in self._reader.records(partition, bounds):
                arrivals.look(record)
        return arrivals.found


class Arrivals:
    """Finds claimed letters among the records of the topics that they were sent to.

    A letter is known by the header with its id and by the digest of its value, because anybody may
    write the header, with the ids of these letters and of millions of others. Claims of earlier
    versions have no digest.

    Args:
        claims: notes of letters that may have been sent, by letter.
    """

    def __init__(self, claims: Mapping[LetterId, Note]) -> None:
        self._claimed = {
            str(letter_id).encode(): (letter_id, claim.digest)
            for letter_id, claim in claims.items()
        }
        self.found: dict[LetterId, int] = {}
        """The offset of the last arrival of each letter."""

    def look(self, record: PlacedRecord) -> None:
        """Note whether a record is one of the letters."""
        for name, value in record.headers:
            if name == REPLAY_OF and (claimed := self._claimed.get(value or b"")):
                letter_id, wanted = claimed
                if wanted in ("", digest(record.value)):
                    self.found[letter_id] = record.offset
