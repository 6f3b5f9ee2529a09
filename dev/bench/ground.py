"""A place for one measurement: names of its own, and nothing left behind in the database."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from app.couchdb.database import connected
from app.couchdb.design_documents import design_documents
from app.settings import DatabaseSettings, KafkaSettings
from dev.services import Services
from dev.worker import Worker, database_settings
from openwhisk.publisher import Publisher
from openwhisk.store import ensure_store_topic


class Ground:
    """Topics and a database that nobody else uses.

    Attributes:
        prefix: of the topics, and of the worker's group.
        topic: that records are sent to; it has one partition, as OpenWhisk's own.
        database: its name.
        url: its address.
    """

    def __init__(self, provided: Services) -> None:
        self.provided = provided
        self.kafka = KafkaSettings.model_validate({"PERSISTER_KAFKA_URL": provided.kafka_url})
        self.prefix = f"bench{time.time_ns()}-"
        self.topic = f"{self.prefix}completed-others"
        self.database = f"{self.prefix}activations"
        self.url = f"{provided.couchdb_url}/{self.database}"

    @contextlib.asynccontextmanager
    async def worker(self, *, waits: bool = True, **settings: object) -> AsyncIterator[Worker]:
        """A worker that stores what comes here; it is started, and stopped at the end.

        Args:
            waits: until it is ready, which it never is without a database.
            settings: as `Worker`'s.
        """
        with tempfile.TemporaryDirectory() as folder:
            worker = Worker(
                Path(folder),
                self.provided,
                topic_prefix=self.prefix,
                app_id=f"{self.prefix}persister",
                database=self.database,
                **settings,
            )
            await asyncio.to_thread(worker.start if waits else worker.launch)
            try:
                yield worker
            finally:
                await asyncio.to_thread(worker.stop)

    @contextlib.asynccontextmanager
    async def simple_loop(self) -> AsyncIterator[int]:
        """The hand-written loop instead; yields its process id."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "dev.bench.simple", urlsplit(self.provided.kafka_url).netloc),
            *(self.topic, self.url),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            if process.stdout is None or not await process.stdout.readline():
                raise RuntimeError("the simple loop does not start")
            yield process.pid
        finally:
            process.terminate()
            await process.wait()

    @contextlib.asynccontextmanager
    async def publisher(self) -> AsyncIterator[Publisher]:
        """Something to publish with."""
        publisher = Publisher(self.kafka, deadline=300)
        await publisher.start()
        try:
            yield publisher
        finally:
            await publisher.stop()


@contextlib.asynccontextmanager
async def ground(provided: Services) -> AsyncIterator[Ground]:
    """Make a topic and a database as the worker would; delete the database at the end."""
    made = Ground(provided)
    given = {
        f"PERSISTER_{name.upper()}": value
        for name, value in database_settings(provided.couchdb_url).items()
    }
    settings = DatabaseSettings.model_validate({**given, "PERSISTER_DATABASE": made.database})
    async with made.publisher() as publisher:
        await ensure_store_topic(publisher, made.topic, made.kafka)
    async with connected(settings) as database:
        await database.prepare()
    async with _dropped(made.url):
        yield made


@contextlib.asynccontextmanager
async def bare_database(provided: Services) -> AsyncIterator[str]:
    """A database without design documents, and nothing else; yields its address."""
    url = Ground(provided).url
    async with aiohttp.ClientSession() as http, http.put(url) as answer:
        answer.raise_for_status()
    async with _dropped(url):
        yield url


async def indexed(database: str) -> None:
    """Have CouchDB index all that it has not: by itself, it may do so a minute later."""
    async with aiohttp.ClientSession() as http:
        for name, design in design_documents().items():
            for view in islice(design.get("views", ()), 1):  # all of a document's are one index
                async with http.get(f"{database}/_design/{name}/_view/{view}?limit=0") as answer:
                    await answer.read()


@contextlib.asynccontextmanager
async def _dropped(database: str) -> AsyncIterator[None]:
    """Delete a database at the end.

    One that is left would cost whatever is measured next: CouchDB goes on indexing it.
    """
    try:
        yield
    finally:
        async with aiohttp.ClientSession() as http, http.delete(database) as answer:
            answer.raise_for_status()
