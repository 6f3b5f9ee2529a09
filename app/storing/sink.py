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

    A struct, which takes a tenth of a dataclass's time to make: there is one for every record.

    Args:
        id: its key in the database, `<namespace>/<activation id>`.
        body: the encoded JSON object, which contains `_id`.
    """

    id: str
    body: bytes


class Settled(Enum):
    """The document is in the database."""

    STORED = "stored"
    """This sink has put it there.

    This includes a conflict that comes from an earlier attempt of the same request whose answer was
    lost: the record arrived once and was written once.
    """

    DUPLICATE = "duplicate"
    """An equal document was already there."""

    COMPLETED = "completed"
    """The same record was already there without its logs, which were added."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The document cannot be stored, however often that is tried.

    Args:
        reason: `TOO_LARGE`, `REFUSED` or `DIVERGENT`.
        detail: the database's words or the names of differing fields, never a field's contents.
        proven: whether the document itself is the proof; even many such refusals say nothing about
            the database.
    """

    reason: RejectReason
    detail: str
    proven: bool = field(default=False, compare=False)


Outcome = Settled | Refused


@dataclass(frozen=True, slots=True, eq=False)
class Parked:
    """The document is under diagnosis, because it fails while others do not.

    Args:
        outcome: resolves to its outcome later.
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
        """Identifies the database; changes when it is dropped and re-created.

        None until it has answered for the first time.
        """

    @property
    def waiting_documents(self) -> int:
        """How many documents no request has taken yet."""

    @property
    def failing(self) -> bool:
        """Whether documents fail of which only others, by being stored, show whose fault it is."""

    async def next_change(self) -> None:
        """Wait until another request takes documents, or fails; one caller at a time."""

    async def found(self) -> None:
        """Wait until the database's `identity` is known and documents may be written to it."""

    async def write(self, documents: Sequence[Document]) -> list[Result]:
        """Store documents; returns one result for each, in order.

        Returns once each is settled or parked; a document that fails while others pass does not
        delay them.

        Transient failures are retried for as long as it takes: that `write` takes long is how a
        caller notices that the database cannot keep up. Many tasks may call it at once.

        Raises:
            SinkStopped: what became of the documents is unknown.
        """

    async def compare(self, documents: Sequence[Document]) -> list[Outcome | None]:
        """Settle documents by what is stored under their ids, without writing anything.

        So those behind a document that is in the database do not cost a request each.

        Args:
            documents: any number of an id, in the order in which they came; none of an id that is
                being written.

        Returns:
            One outcome for each document, in order. None for those that `write` has to settle, one
            after the other: the database does not hold the id, or cannot be read now, or lacks the
            logs that the first of them has.

        Raises:
            SinkStopped: the sink was stopped.
        """
