"""Has CouchDB bring views up to date in small steps while documents are written.

CouchDB also indexes in the background, but under steady writing only once a minute: its indexer
(`ken`) puts a shard aside for 60 s as soon as a write finds one of the shard's indexes still being
built. Then it indexes a minute's documents for all design documents and shards at once, and
meanwhile `_bulk_docs` waits for the processor and the disk. Querying the views in between leaves
little for that minute's end.

One design document is queried at a time, and the query waits until its index is built: what hurts
writes is the number of indexes being built at once. The next query waits for a pause, and for
enough documents to be worth it. Queries are made while the writer is idle, as it is between the
batches of a gateway. Records that arrive one by one keep CouchDB busy all the time: at 500 a
second, queries made each record wait three times as long, so none is made then.

Seen with CouchDB 3.5.0 (`ken_server`: `maybe_start_job`, `resubmit`); the figures are in
`docs/gateway.md`. To see it: write some hundred documents a second for two minutes to a database
with OpenWhisk's design documents, and look at `Starting index update` in CouchDB's log.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
from mode import Service

from app.couchdb.answers import read
from app.couchdb.database import ONLY_DESIGN, Database
from app.couchdb.errors import DatabaseError, DatabaseMissing
from app.couchdb.writer import BulkWriter

logger = logging.getLogger(__name__)

DOCUMENTS_PER_QUESTION = 100
"""Fewest new documents that are worth a query: CouchDB writes an index in batches of this size
(`view_updater/min_writer_items`), and it indexes a trickle at once by itself.
"""

IDLE_SECONDS = 0.05
"""Seconds without a request after which the writer counts as waiting for the next batch."""

QUESTIONS_PER_LISTING = 100
"""After how many queries the design documents are listed again."""


class _Design(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    language: Any = "javascript"
    views: Any = None
    autoupdate: Any = True


class _Row(msgspec.Struct):
    doc: _Design | None = None
    """None if it was deleted while CouchDB listed it."""


class _Rows(msgspec.Struct):
    rows: list[_Row]


_rows = msgspec.json.Decoder(_Rows)


class ViewRefresh(Service):
    """Queries one view of each design document in turn, for no rows, while documents are written.

    Leaves out design documents with `"autoupdate": false`, as CouchDB's own indexer does.

    Args:
        writer: tells whether there is anything to index.
        database: the database, which the writer connects.
        interval: least seconds from an answer to the next query; 0 for no queries.
        sleep: waits for a number of seconds.
        kwargs: passed to `mode.Service`.
    """

    def __init__(
        self,
        writer: BulkWriter,
        database: Database,
        interval: float,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._writer = writer
        self._database = database
        self._interval = interval
        self._sleep = sleep
        self._paths: list[str] = []
        self._questions = 0
        self._failing: set[str] = set()

    async def on_start(self) -> None:
        """Start, unless it is switched off."""
        if self._interval:
            self.add_future(self._refresh_while_written())

    async def _refresh_while_written(self) -> None:
        asked = 0
        while not self.should_stop:
            await self._sleep(self._interval)
            written = self._writer.stats.documents_written
            if written - asked < DOCUMENTS_PER_QUESTION:
                await self._writer.next_settled()
            elif self._writer.idle_seconds >= IDLE_SECONDS:
                await self._refresh_next()
                asked = written

    async def _refresh_next(self) -> None:
        """Query the next view, and wait until it is up to date."""
        path = ONLY_DESIGN
        try:
            if self._questions % QUESTIONS_PER_LISTING == 0:
                listing = f"{ONLY_DESIGN}&include_docs=true"
                self._paths = await self._database.ask("GET", listing, read=views)
            self._questions += 1
            if self._paths:
                path = self._paths[self._questions % len(self._paths)]
                await self._database.ask("GET", f"{path}?limit=0", read=len)
        except DatabaseMissing:  # design documents have been replaced since the listing
            self._questions = 0
        except DatabaseError as error:
            if error.cause == "timeout":  # still being built: query the same one again
                self._questions -= 1
            else:
                self._tell(path, error)
        else:
            self._failing.discard(path)

    def _tell(self, path: str, failure: DatabaseError) -> None:
        """Log once that a query fails, unless the writer already reports that CouchDB is away."""
        if path in self._failing or self._writer.availability.failing_since is not None:
            return
        self._failing.add(path)
        logger.warning(
            "%s: a view cannot be refreshed (%s); CouchDB does that by itself, once a minute",
            self._database.address,
            failure,
        )


def views(listing: bytes) -> list[str]:
    """The path of one view per design document that CouchDB indexes in the background.

    All views of a design document share one index.

    Args:
        listing: CouchDB's answer with the design documents.
    """
    rows: _Rows = read(_rows, listing)
    return [path for row in rows.rows if row.doc and (path := _path(row.doc))]


def _path(design: _Design) -> str | None:
    # These fields may have any value, because only CouchDB has checked them.
    automatic = design.autoupdate
    if isinstance(automatic, dict):
        automatic = automatic.get("views")
    if automatic is False or design.language != "javascript":
        return None
    if not isinstance(design.views, dict):
        return None
    document = quote(design.id.removeprefix("_design/"), safe="")
    for name, view in design.views.items():
        if isinstance(view, dict) and "map" in view:
            return f"_design/{document}/_view/{quote(name, safe='')}"
    return None
