"""Finds the oldest activations of a database, and deletes them.

OpenWhisk's view `activations/byDate` lists them by their start with id and revision, so that no
document is read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

import msgspec

from app.couchdb.answers import read
from app.couchdb.database import Database
from app.couchdb.errors import DatabaseMissing, Unavailable
from app.storing.sink import Document

PAGE = 100
"""Documents per request: CouchDB purges no more at once (`[purge] max_document_id_number`)."""

VIEW = "_design/activations/_view/byDate"


@dataclass(frozen=True, slots=True)
class OldActivation:
    """A row of the view.

    Args:
        id: the document's id.
        rev: the revision to remove; a newer one stays.
        start: the activation's start in epoch millis.
    """

    id: str
    rev: str
    start: int


class _Row(msgspec.Struct):
    id: str
    key: int | float
    value: tuple[str, str]


class _View(msgspec.Struct):
    rows: list[_Row]
    offset: int | None = None


class _Purged(msgspec.Struct):
    purged: dict[str, list[str]]


_view = msgspec.json.Decoder(_View)
_purged = msgspec.json.Decoder(_Purged)


class OldActivations:
    """Finds and removes old activations. Every method raises `DatabaseError`.

    Args:
        database: a connected database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count_before(self, cutoff: int) -> int:
        """How many activations started before `cutoff` (epoch millis)."""
        # Rows before the first number have no start, so they are not OpenWhisk's activations.
        first = await self._view({"startkey": "0"}, limit="0")
        until = await self._view({"startkey": str(cutoff)}, limit="0")
        return (until.offset or 0) - (first.offset or 0)

    async def oldest(
        self, cutoff: int, limit: int, after: OldActivation | None
    ) -> list[OldActivation]:
        """The next page of activations that started before the cutoff, oldest first.

        Args:
            cutoff: in epoch millis.
            limit: the most activations to return.
            after: the last activation of the previous page; None for the first page.
        """
        where = {"startkey": "0"}
        if after is not None:
            where = {"startkey": str(after.start), "startkey_docid": after.id}
        # One more, because the page begins with `after`, if that still exists.
        found = await self._view(
            where, endkey=str(cutoff), inclusive_end="false", limit=str(limit + 1)
        )
        rows = [OldActivation(row.id, row.value[1], int(row.key)) for row in found.rows]
        first = 0 if after is None else after.start
        if not all(first <= row.start < cutoff and not row.id.startswith("_") for row in rows):
            # Never remove younger ones or design documents, nor return the same page for ever.
            raise Unavailable(
                "the view activations/byDate answers with rows that it was not asked for",
                cause="other-rows",
            )
        return [row for row in rows if after is None or row.id != after.id][:limit]

    async def purge(self, activations: Sequence[OldActivation]) -> int:
        """Purge activations without a trace; only server administrators may do this.

        Returns:
            How many of them existed in this revision.
        """
        wanted = {one.id: [one.rev] for one in activations}
        asked = json.dumps(wanted).encode()
        found = await self._database.ask("POST", "_purge", asked, read=partial(read, _purged))
        purged = found.purged
        return sum(bool(purged.get(one.id)) for one in activations)

    async def delete(self, activations: Sequence[OldActivation]) -> int:
        """Replace each by a tombstone; returns how many existed in this revision."""
        tombstones = [
            Document(
                one.id, json.dumps({"_id": one.id, "_rev": one.rev, "_deleted": True}).encode()
            )
            for one in activations
        ]
        entries = (await self._database.bulk(tombstones)).entries
        failed = [one for one in entries if one.error not in ("", "conflict")]
        if failed:
            raise Unavailable(failed[0].explanation, cause=failed[0].cause)
        return min(len(activations), sum(bool(one.rev) for one in entries))

    async def _view(self, where: Mapping[str, str], **others: str) -> _View:
        query = urlencode({**where, **others})
        try:
            path = f"{VIEW}?{query}"
            view: _View = await self._database.ask("GET", path, read=partial(read, _view))
        except DatabaseMissing as error:
            raise DatabaseMissing(
                f"{error} (the database, or OpenWhisk's design document `activations` in it, is "
                "missing; a worker puts both there)",
                cause=error.cause,
            ) from None
        return view
