"""Searches Kafka and the database for an activation, in bounded time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from app.couchdb import DatabaseError, connected
from app.kafka.access import explain
from app.kafka.admin import open_admin
from app.kafka.errors import KafkaError
from app.kafka.producer import partition_of
from app.kafka.reader import Bounds, Reader, ReadError, TopicPartition, open_reader
from app.kafka.records import Record
from app.kafka.topics import TopicNames
from app.monitoring.trace.account import Account
from app.monitoring.trace.activation import ActivationId
from app.monitoring.trace.fields import fields_of
from app.monitoring.trace.sighting import Kind, Place, Sighting, of_document, of_letter, of_message
from app.settings import LogMode, RoutingSettings, Settings
from models.dead_letter import DeadLetter
from models.roles import TopicRole

Look = Callable[[Place, Record], Sighting | None]

Remembers = Callable[[int, bytes], Awaitable[bool]]
"""Tells whether the guard remembers a document, given its partition and its bytes."""

_PAUSE_SECONDS = 0.01
"""After how many seconds of work to pause."""

_LARGE = 64 * 1024
"""Bytes of a record above which it is looked at in a thread: that may take half a second for each
megabyte.
"""


async def _nobody(_partition: int, _document: bytes) -> bool:
    return False


@dataclass(frozen=True)
class Limits:
    """The limits of a search.

    Args:
        kafka: seconds for searching Kafka.
        database: seconds for the database to answer.
        share: the share of time for which it may occupy the event loop.
    """

    kafka: float = 30.0
    database: float = 30.0
    share: float = 1.0


async def trace(
    settings: Settings, activation: ActivationId, limits: Limits, remembered: Remembers = _nobody
) -> Account:
    """Find out where an activation is.

    Never raises: the account says what could not be searched, or not in time.

    Args:
        settings: the worker's settings.
        activation: which one; without a namespace the database is asked only if Kafka has the
            namespace.
        limits: the limits of the search.
        remembered: tells whether this process's guard remembers a document as stored.
    """
    account = Account(activation.id)
    left: list[str] = []
    try:
        async with asyncio.timeout(limits.kafka):
            await _in_kafka(settings, account, left, limits.share, remembered)
    except TimeoutError:
        what = ", ".join(left) or "Kafka's topics"
        account.not_looked_at.append(f"all of {what}: it takes more than {limits.kafka:g} s")
    except (KafkaError, ReadError, OSError) as error:
        why = str(error) if isinstance(error, ReadError) else explain(error, settings.kafka)
        account.not_looked_at.append(f"Kafka at {settings.kafka.url}: {why}")
    account.sightings.sort(key=lambda one: one.place.at)
    try:
        async with asyncio.timeout(limits.database):
            await _in_database(settings, account, activation.namespace)
    except TimeoutError:
        account.not_looked_at.append(
            f"the database {settings.database.url}: no answer within {limits.database:g} s"
        )
    return account


async def _in_kafka(
    settings: Settings, account: Account, left: list[str], share: float, remembered: Remembers
) -> None:
    """Search all topics; `left` names those that are not finished yet."""
    kafka, names = settings.kafka, TopicNames(settings.kafka.topic_prefix)
    async with open_admin(kafka) as admin, open_reader(kafka) as reader:
        partitions = await admin.partition_counts()
        committed = await admin.committed(kafka.app_id)
        search = _Search(reader, account, committed, share, remembered)
        topics = _topics(names, partitions)
        ours = [name for name in (names.documents, names.dead_letters) if name in partitions]
        left[:] = [*ours, *topics]
        count = partitions.get(names.documents, 0)
        only = partition_of(account.activation_id.encode(), count) if count else None
        look = _documents(account)
        await search.look_through(names.documents, count, look, only=only)
        count = partitions.get(names.dead_letters, 0)
        left[:] = [name for name in left if name != names.documents]
        await search.look_through(names.dead_letters, count, _letters(account), follow=False)
        left[:] = list(topics)
        for topic, role in topics.items():
            read = names.role(topic, settings.routing.log_mode) is not None
            look = _messages(account, role, settings.routing)
            await search.look_through(topic, partitions[topic], look, follow=read)
            left.remove(topic)


def _topics(names: TopicNames, existing: Mapping[str, int]) -> dict[str, TopicRole]:
    """OpenWhisk's topics of both log modes, with their roles."""
    return {
        topic: role
        for mode in LogMode
        for role, topics in names.by_role(existing, mode).items()
        for topic in topics
    }


def _messages(account: Account, role: TopicRole, rules: RoutingSettings) -> Look:
    def look(place: Place, record: Record) -> Sighting | None:
        return of_message(account.activation_id, role, place, record.value or b"", rules)

    return look


def _documents(account: Account) -> Look:
    def look(place: Place, record: Record) -> Sighting | None:
        return of_document(account.activation_id, place, record.key, record.value or b"")

    return look


def _letters(account: Account) -> Look:
    def look(place: Place, record: Record) -> Sighting | None:
        try:
            letter = DeadLetter.from_record(record.key, record.value, record.headers)
        except ValueError:
            return None
        return of_letter(account.activation_id, place, letter)

    return look


class _Search:
    """Goes through topics, and adds sightings to the account."""

    def __init__(
        self,
        reader: Reader,
        account: Account,
        committed: Mapping[TopicPartition, int],
        share: float,
        remembered: Remembers,
    ) -> None:
        self._reader = reader
        self._account = account
        self._committed = committed
        self._share = share
        self._remembered = remembered
        self._began = time.monotonic()

    async def look_through(
        self,
        topic: str,
        partitions: int,
        look: Look,
        *,
        only: int | None = None,
        follow: bool = True,
    ) -> None:
        """Check every record of a topic.

        Args:
            topic: its name.
            partitions: how many it has.
            look: tells what a record says about the activation.
            only: the one partition in which it can be.
            follow: whether the worker reads the topic, so that a record may wait for it.
        """
        for tp, bounds in (await self._reader.bounds(topic, partitions)).items():
            if only is None or tp.partition == only:
                await self._partition(tp, bounds, look, follow=follow)

    async def _partition(
        self, tp: TopicPartition, bounds: Bounds, look: Look, *, follow: bool
    ) -> None:
        reached = self._committed.get(tp, bounds.start)
        async for record in self._reader.records(tp, bounds):
            await self._rest()
            place = Place(tp.topic, tp.partition, record.offset, record.timestamp)
            seen = await self._seen(look, place, record)
            if seen is not None:
                waits = follow and record.offset >= reached
                behind = record.offset - max(reached, bounds.start) if waits else None
                self._account.add(replace(seen, behind=behind))

    async def _seen(self, look: Look, place: Place, record: Record) -> Sighting | None:
        if len(record.value or b"") > _LARGE:
            seen = await asyncio.to_thread(look, place, record)
        else:
            seen = look(place, record)
        if seen is None or seen.kind is not Kind.DOCUMENT:
            return seen
        if await self._remembered(place.partition, record.value or b""):
            return replace(seen, decided=f"{seen.decided}; the guard remembers it as stored")
        return seen

    async def _rest(self) -> None:
        """Pause to let other tasks run, if it is their turn."""
        worked = time.monotonic() - self._began
        if self._share < 1 and worked > _PAUSE_SECONDS:
            await asyncio.sleep(min(1.0, worked * (1 / self._share - 1)))
            self._began = time.monotonic()


async def _in_database(settings: Settings, account: Account, namespace: str | None) -> None:
    namespace = namespace or account.facts().get("namespace")
    if not namespace:
        account.not_looked_at.append(
            "the database: documents are found by namespace and id, and no namespace is known; "
            "ask for <namespace>/<id>"
        )
        return
    document_id = f"{namespace}/{account.activation_id}"
    try:
        async with connected(settings.database) as database:
            found = await database.read_back([document_id])
    except DatabaseError as error:
        account.not_looked_at.append(f"the database {settings.database.url}: {error}")
        return
    if document_id in found:
        account.stored = fields_of(found[document_id])
