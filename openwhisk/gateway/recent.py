"""Remembers recently accepted records, for readers who ask before they are stored."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from openwhisk.gateway.records import Record

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


OF_ONE = 600
"""Bytes that a record takes besides its document."""


def _size(record: Record) -> int:
    return len(record.document) + OF_ONE


@dataclass(frozen=True, slots=True)
class _Taken:
    record: Record
    at: float


class Recent:
    """Recently accepted records, bounded in bytes and time.

    Args:
        limit: bytes of records; 0 remembers nothing.
        seconds: how long a record is remembered.
        clock: monotonic seconds.
    """

    def __init__(
        self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.size = 0
        """How many bytes are remembered."""
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._taken: OrderedDict[str, _Taken] = OrderedDict()

    def add(self, record: Record) -> None:
        """Remember a record that Kafka has acknowledged."""
        self.forget(record.id)
        if _size(record) > self._limit:
            return
        # Without the message, which Kafka has now.
        self._taken[record.id] = _Taken(replace(record, message=b""), self._clock())
        self.size += _size(record)
        self._shrink()

    def get(self, document_id: str) -> Record | None:
        """The record of a document that was accepted lately, if any."""
        self._shrink()
        taken = self._taken.get(document_id)
        return taken.record if taken else None

    def forget(self, document_id: str) -> None:
        """It is stored, or deleted: the database knows better."""
        taken = self._taken.pop(document_id, None)
        if taken:
            self.size -= _size(taken.record)

    def _shrink(self) -> None:
        oldest = self._clock() - self._seconds
        while self._taken:
            document_id, taken = next(iter(self._taken.items()))
            if taken.at > oldest and self.size <= self._limit:
                return
            self.forget(document_id)


def as_read(record: Record) -> bytes:
    """The document as CouchDB will return it once it is stored."""
    fields = _fields(record.document)
    revision = msgspec.Raw(msgspec.json.encode(record.revision))
    return msgspec.json.encode({"_id": fields.pop("_id"), "_rev": revision, **fields})
