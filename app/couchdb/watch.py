"""Notices when the database has been replaced, or its design documents are gone."""

import asyncio
from typing import Any

from mode import Service

from app.couchdb.writer import BulkWriter

WATCH_SECONDS = 10.0
"""Seconds between two checks."""


class DatabaseWatch(Service):
    """Checks the database every few seconds.

    Args:
        writer: the writer whose database to check.
        kwargs: passed to `mode.Service`.
    """

    def __init__(self, writer: BulkWriter, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._writer = writer

    async def on_start(self) -> None:
        """Start to check."""
        self.add_future(self._watch())

    async def _watch(self) -> None:
        while not self.should_stop:
            await asyncio.sleep(WATCH_SECONDS)
            await self._writer.requests.look_after()
