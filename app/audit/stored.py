"""Reads the database into the findings."""

import asyncio
from asyncio import sleep
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from time import monotonic

from app.audit.content import Content, document_content
from app.audit.findings import Findings
from app.audit.reading import Watcher
from app.couchdb import Database
from app.couchdb.errors import Unavailable

BATCH_DOCUMENTS = 500
BATCH_BYTES = 8 * 1024 * 1024
LARGEST_ANSWER = 2 * BATCH_BYTES
"""Bytes of an answer above which fewer documents are asked for: what stands in the database may be
larger than what was sent. An answer takes about twice its size of memory.
"""

IN_FLIGHT = 4
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""How long to wait before a request is repeated; after the last one the audit gives up."""

LONGEST_PAUSE = 15.0
"""The same at most where the database says how long; somebody waits for the audit."""

LONGEST = 50.0
"""Seconds after which nothing is asked again."""

UNREADABLE = Content(b"", b"")
"""Of a document that the audit cannot read; equal to none."""


async def read_stored(database: Database, findings: Findings, watcher: Watcher) -> None:
    """Read every expected document, a few requests at a time.

    Raises:
        DatabaseError: it does not answer, or does not let us.
    """
    # It is closed before the findings are, also when the database fails in between.
    with closing(findings.documents()) as expected:
        batches = _batches(expected)

        async def read() -> None:
            for batch in batches:
                documents = await read_back(database, batch)
                findings.add_stored(_contents(documents))
                watcher.forward(len(batch))

        readers = [asyncio.ensure_future(read()) for _ in range(IN_FLIGHT)]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)


async def read_back(database: Database, ids: Sequence[str]) -> dict[str, bytes]:
    """The stored documents of these ids; repeated for a while when the database is busy."""
    began = monotonic()
    for seconds in RETRY_SECONDS:
        try:
            return await database.read_back(ids, LARGEST_ANSWER)
        except Unavailable as error:
            # The one means that there is nobody at this address, the other a minute for each time.
            if error.cause == "connection" or monotonic() - began > LONGEST:
                raise
            await sleep(min(error.retry_after or seconds, LONGEST_PAUSE))
    return await database.read_back(ids, LARGEST_ANSWER)


def _batches(documents: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Ids for each request: as many as can be asked for without a huge answer."""
    batch: list[str] = []
    size = 0
    for document, bytes_ in documents:
        if batch and (len(batch) == BATCH_DOCUMENTS or size + bytes_ > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += bytes_
    if batch:
        yield batch


def _contents(documents: dict[str, bytes]) -> Iterator[tuple[str, Content]]:
    for document_id, document in documents.items():
        try:
            yield document_content(document)
        except ValueError:  # not what anybody asked to be stored
            yield document_id, UNREADABLE
