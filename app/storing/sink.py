"""The sink protocol: documents in, a result for each out.

Nothing here depends on a particular database. `app.couchdb` implements it; another sink is another
package beside it, passed to `app.storing.step.StoringStep` in `app.application`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import msgspec

from models.reasons import RejectReason


class Document(msgspec.Struct, frozen=True, gc=False):
    """One activation document, ready to be stored.

    A struct because there is one for every record: it is made in a tenth of a dataclass's time.

    Args:
        id: Its key in the database, `<namespace>/<activation id>`.
        body: The encoded JSON object; it contains `_id`.
    """

    id: str
    body: bytes


class Settled(Enum):
    """The document is in the database."""

    STORED = "stored"
    """This sink put it there.

    Also when a conflict shows that an earlier attempt of the same request, whose answer was lost,
    had written it: the record arrived once and was written once.
    """

    DUPLICATE = "duplicate"
    """An equal document was there before."""

    COMPLETED = "completed"
    """The same record was there without its logs, and has them now."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The document cannot be stored, however often it is tried.

    Args:
        reason: `TOO_LARGE`, `REFUSED` or `DIVERGENT`.
        detail: The database's words or the names of differing fields; never a field's contents.
        proven: Whether the document itself shows it, so that many of them say nothing about the
            database.
    """

    reason: RejectReason
    detail: str
    proven: bool = field(default=False, compare=False)


Outcome = Settled | Refused


@dataclass(frozen=True, slots=True, eq=False)
class Parked:
    """The document is under diagnosis: it fails, and others do not.

    Args:
        outcome: What becomes of it, in a while.
    """

    outcome: asyncio.Future[Outcome]


Result = Outcome | Parked

STORED = Settled.STORED
DUPLICATE = Settled.DUPLICATE
COMPLETED = Settled.COMPLETED


class SinkStopped(Exception):  # noqa: N818 - an event, not an error
    """The sink was stopped before the documents were settled: their state is unknown."""


class Sink(Protocol):
    """A database that documents are written to."""

    @property
    def identity(self) -> bytes | None:
        """Which database it is; another one after it was dropped and made again.

        None while it has not answered yet.
        """

    async def found(self) -> None:
        """Wait until it has answered for the first time, from when on its identity is known."""

    async def write(self, documents: Sequence[Document]) -> list[Result]:
        """Store documents; returns one result for each, in order.

        Returns when each is settled or parked: one that fails while others pass keeps nobody.

        What may pass is retried for as long as it takes, so a slow `write` is how the caller
        notices that the database cannot keep up. May be called by many tasks at once.

        Raises:
            SinkStopped: What became of the documents is unknown.
        """
