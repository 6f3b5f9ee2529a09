"""What a test of running workers stands on: topics, group and database that no other test has."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dev.admin import Admin
from dev.worker import Worker
from tests.integration.support import waiting
from tests.integration.support.commands import Commands
from tests.integration.support.database import all_stored, assert_holds, stored
from tests.integration.support.kafka import Producer, read_topic

StartWorker = Callable[..., Awaitable[Worker]]


@dataclass(frozen=True)
class Deployment:
    """A deployment of the persister.

    Attributes:
        prefix: Of its topics and its group.
        database: Its name.
        kafka_url: As in `dev.services.Services`.
        couchdb_url: The same.
        admin: Of Kafka.
        kafka: Writes records, and knows the documents that they must become.
        worker: Starts a worker: `await deployment.worker(partitions=4)`.
        commands: `persister …` with the same settings.
    """

    prefix: str
    database: str
    kafka_url: str
    couchdb_url: str
    admin: Admin
    kafka: Producer
    worker: StartWorker
    commands: Commands

    @property
    def group(self) -> str:
        """The consumer group."""
        return f"{self.prefix}persister"

    @property
    def documents(self) -> str:
        """The internal topic."""
        return f"{self.prefix}persister-documents"

    async def topic(self, name: str, partitions: int = 1, **settings: str) -> str:
        """Make a topic of OpenWhisk's; its whole name."""
        topic = f"{self.prefix}{name}"
        await self.admin.create_topic(topic, partitions, **settings)
        return topic

    async def topics(self, *names: str, **settings: str) -> list[str]:
        """Make several; their whole names."""
        return [await self.topic(name, 1, **settings) for name in names]

    async def drained(self, *topics: str, within: float = waiting.PATIENCE) -> None:
        """Return once the group has committed all of these topics, then of the internal one."""
        await waiting.drained(self.admin, self.prefix, *topics, within=within)

    async def committed(self, topic: str) -> dict[int, int]:
        """The group's offsets by partition."""
        return await self.admin.committed(self.group, topic)

    async def dead_letters(self) -> list[Any]:
        """All records of the dead-letter topic."""
        return await read_topic(self.kafka_url, f"{self.prefix}persister-dead-letters")

    async def stored(self) -> dict[str, dict[str, Any]]:
        """All documents by `_id`, without the design documents."""
        return await stored(self.couchdb_url, self.database)

    async def all_stored(self, records: Iterable[dict[str, Any]]) -> bool:
        """Whether there is a document of each record."""
        return await all_stored(self.couchdb_url, self.database, records)

    async def holds_what_was_sent(self) -> None:
        """Check that the database has the documents of `kafka`, each written once, and no other."""
        await assert_holds(self.couchdb_url, self.database, self.kafka.expected)
