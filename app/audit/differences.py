"""Finds the fields in which the documents listed in a report differ from what was sent."""

from collections.abc import Iterable

from app.audit.content import differing
from app.audit.expectation import Expected, expectation
from app.audit.findings import Example
from app.audit.repair import records
from app.audit.stored import read_back
from app.couchdb import Database
from app.kafka.reader import TopicPartition, open_reader
from app.kafka.topics import TopicNames
from app.settings import Settings
from models.roles import TopicRole

SHOWN_FIELDS = 10


async def differences(
    settings: Settings, database: Database, examples: Iterable[Example]
) -> dict[str, list[str]]:
    """By document id, the names of the differing top-level fields, never what is in them.

    Raises:
        KafkaError: Kafka is not reachable.
        ReadError: it stops sending.
        DatabaseError: the same of the database.
    """
    found = {}
    async with open_reader(settings.kafka) as reader:
        for example in examples:
            tp = TopicPartition(example.place.topic, example.place.partition)
            stored = await read_back(database, [example.document or ""])
            async for record in records(reader, tp, {example.place.offset}):
                expected = expectation(_role(settings, tp.topic), record.value, settings.routing)
                for document_id, document in stored.items():
                    if isinstance(expected, Expected) and expected.fields is not None:
                        found[document_id] = differing(expected.fields, document)[:SHOWN_FIELDS]
    return found


def _role(settings: Settings, topic: str) -> TopicRole:
    names = TopicNames(settings.kafka.topic_prefix)
    return names.role(topic, settings.routing.log_mode) or TopicRole.COMPLETED
