"""Creates what a worker needs: its topics, the database and its design documents."""

from collections.abc import AsyncIterator

from app.couchdb import DatabaseError, connected
from app.couchdb.availability import advice
from app.couchdb.first_answer import Say, hurried, waiting
from app.doctor.database import examine_database
from app.doctor.finding import Finding, State
from app.doctor.kafka import examine_own, needed_topics
from app.kafka.access import ask, explain
from app.kafka.admin import Admin, open_admin
from app.kafka.errors import KafkaError
from app.kafka.topics import TopicSpec, not_created
from app.process.errors import StartError
from app.process.words import counted
from app.settings import DatabaseSettings, KafkaSettings, Settings

MISSING = "missing; `persister setup` creates it"


async def set_up(settings: Settings, *, check: bool, say: Say) -> AsyncIterator[Finding]:
    """Create what is missing, or with `check` only say what that is.

    What exists is left as it is; whether it is as it should be is said.

    Args:
        settings: the worker's.
        check: change nothing.
        say: is told what is waited for, if that takes long.
    """
    async for finding in _topics(settings.kafka, check=check):
        yield finding
    async for finding in set_up_database(settings.database, check=check, say=say):
        yield finding


async def _topics(kafka: KafkaSettings, *, check: bool) -> AsyncIterator[Finding]:
    try:
        await ask(kafka)
        async with open_admin(kafka) as admin:
            existing = await admin.partition_counts()
            for spec in needed_topics(kafka):
                if spec.name in existing:
                    yield await examine_own(admin, spec, existing[spec.name], kafka)
                elif check:
                    yield Finding(spec.name, State.WRONG, MISSING)
                else:
                    yield await _created(admin, spec, kafka.replication)
    except StartError as error:
        yield Finding("Kafka", State.WRONG, str(error))
    except (KafkaError, OSError) as error:
        yield Finding("Kafka", State.WRONG, f"{kafka.url}: {explain(error, kafka)}")


async def _created(admin: Admin, spec: TopicSpec, replication: int) -> Finding:
    try:
        await admin.create(spec, replication)
    except KafkaError as error:
        return Finding(spec.name, State.WRONG, not_created(spec, replication, error))
    return Finding(spec.name, State.OK, f"created, with {counted(spec.partitions, 'partition')}")


async def set_up_database(
    settings: DatabaseSettings, *, check: bool, say: Say
) -> AsyncIterator[Finding]:
    """The same for the database and its design documents alone."""
    # The workers may be told not to create it because this does.
    if not check:
        creating = settings.model_copy(update={"create": True})
        async with connected(hurried(creating)) as database:
            try:
                with waiting(database, say):
                    made = await database.prepare()
            except DatabaseError as error:
                detail = f"{database.address}: {error}; {advice(error, retried=False)}"
                yield Finding("database", State.WRONG, detail)
                return
            if made:
                yield Finding("database", State.OK, f"{database.address}: created")
    # What is missing now, nobody else is relied on to create.
    async for finding in examine_database(settings.model_copy(update={"create": False}), say):
        yield finding
