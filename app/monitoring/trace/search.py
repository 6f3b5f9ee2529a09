"""Looks for an activation in Kafka and in the database, in bounded time."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from app.couchdb import DatabaseError, connected
from app.kafka.access import explain
from app.kafka.admin import open_admin
from app.kafka.errors import KafkaError
from app.kafka.producer import partition_of
from app.kafka.reader import Bounds, Reader, ReadError, TopicPartition, open_reader
from app.kafka.topics import TopicNames
from app.monitoring.trace.account import Account
from app.monitoring.trace.sighting import Place, Sighting, of_document, of_letter, of_message
from app.settings import LogMode, RoutingSettings, Settings
from models.dead_letter import DeadLetter
from models.roles import TopicRole

Look = Callable[[Place, Any], Sighting | None]


async def trace(
    settings: Settings, activation_id: str, namespace: str | None, seconds: float
) -> Account:
    """Find out where an activation is.

    What cannot be looked at, or not in time, is said in the account and raises nothing.

    Args:
        settings: the worker's.
        activation_id: 32 hex digits.
        namespace: its owner, for the database; None: as far as Kafka tells it.
        seconds: that it may take.
    """
    account = Account(activation_id)
    try:
        async with asyncio.timeout(seconds):
            await _in_kafka(settings, account)
    except TimeoutError:
        account.not_looked_at.append(
            f"all of Kafka's topics: it takes more than {seconds:g} s (--within)"
        )
    except (KafkaError, ReadError, OSError) as error:
        why = str(error) if isinstance(error, ReadError) else explain(error, settings.kafka)
        account.not_looked_at.append(f"Kafka at {settings.kafka.url}: {why}")
    account.sightings.sort(key=lambda one: one.place.at)
    await _in_database(settings, account, namespace)
    return account


async def _in_kafka(settings: Settings, account: Account) -> None:
    kafka, names = settings.kafka, TopicNames(settings.kafka.topic_prefix)
    async with open_admin(kafka) as admin, open_reader(kafka) as reader:
        partitions = await admin.partition_counts()
        committed = await admin.committed(kafka.app_id)
        search = _Search(reader, account, committed)
        count = partitions.get(names.documents, 0)
        only = partition_of(account.activation_id.encode(), count) if count else None
        await search.look_through(names.documents, count, _documents(account), only=only)
        count = partitions.get(names.dead_letters, 0)
        await search.look_through(names.dead_letters, count, _letters(account), follow=False)
        for topic, role in _topics(names, partitions).items():
            read = names.role(topic, settings.routing.log_mode) is not None
            look = _messages(account, role, settings.routing)
            await search.look_through(topic, partitions[topic], look, follow=read)


def _topics(names: TopicNames, existing: Mapping[str, int]) -> dict[str, TopicRole]:
    """OpenWhisk's topics of both log modes, with their roles."""
    return {
        topic: role
        for mode in LogMode
        for role, topics in names.by_role(existing, mode).items()
        for topic in topics
    }


def _messages(account: Account, role: TopicRole, rules: RoutingSettings) -> Look:
    def look(place: Place, record: Any) -> Sighting | None:
        return of_message(account.activation_id, role, place, record.value or b"", rules)

    return look


def _documents(account: Account) -> Look:
    def look(place: Place, record: Any) -> Sighting | None:
        return of_document(account.activation_id, place, record.key, record.value or b"")

    return look


def _letters(account: Account) -> Look:
    def look(place: Place, record: Any) -> Sighting | None:
        try:
            letter = DeadLetter.from_record(record.key, record.value, record.headers)
        except ValueError:
            return None
        return of_letter(account.activation_id, place, letter)

    return look


class _Search:
    """Goes through topics, and adds what is seen to the account."""

    def __init__(
        self, reader: Reader, account: Account, committed: Mapping[TopicPartition, int]
    ) -> None:
        self._reader = reader
        self._account = account
        self._committed = committed

    async def look_through(
        self,
        topic: str,
        partitions: int,
        look: Look,
        *,
        only: int | None = None,
        follow: bool = True,
    ) -> None:
        """Look at every record of a topic.

        Args:
            topic: its name.
            partitions: how many it has.
            look: tells what a record is to the activation.
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
            place = Place(tp.topic, tp.partition, record.offset, record.timestamp)
            seen = look(place, record)
            if seen is not None:
                waits = follow and record.offset >= reached
                behind = record.offset - max(reached, bounds.start) if waits else None
                self._account.sightings.append(replace(seen, behind=behind))


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
        account.stored = json.loads(found[document_id])
