"""Remembers recently accepted records, for readers who ask before they are stored."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice, takewhile

import msgspec

from openwhisk.gateway.records import Record

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


OF_ONE = 600
"""Bytes that a record takes besides its document."""

AT_ONCE = 100
"""How many that have become too old are forgotten in one go: what came within a moment is too old
within a moment, too, and may be tens of thousands.
"""


def _size(record: Record) -> int:
    return len(record.document) + OF_ONE


class _Taken(msgspec.Struct, frozen=True, gc=False):
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

    def __bool__(self) -> bool:
        """Whether any are remembered."""
        self._forget_old()
        return bool(self._taken)

    def __iter__(self) -> Iterator[str]:
        """The ids of their documents."""
        return iter(self._taken)

    def add(self, record: Record) -> None:
        """Remember a record that Kafka has acknowledged."""
        self.forget(record.id)
        if _size(record) > self._limit:
            return
        # Without the message, which Kafka has now.
        kept = Record(record.id, b"", record.updated, record.document, record.revision)
        self._taken[record.id] = _Taken(kept, self._clock())
        self.size += _size(record)
        while self.size > self._limit:
            self.forget(next(iter(self._taken)))
        self._forget_old()

    def get(self, document_id: str) -> Record | None:
        """The record of a document that was accepted lately, if any."""
        self._forget_old()
        taken = self._taken.get(document_id)
        return taken.record if taken and not self._is_old(taken) else None

    def forget(self, document_id: str) -> None:
        """It is stored, or deleted: the database knows better."""
        taken = self._taken.pop(document_id, None)
        if taken:
            self.size -= _size(taken.record)

    def clear(self) -> None:
        """Forget all."""
        self._taken.clear()
        self.size = 0

    def _forget_old(self) -> None:
        old = takewhile(lambda one: self._is_old(one[1]), self._taken.items())
        for document_id, _ in list(islice(old, AT_ONCE)):
            self.forget(document_id)

    def _is_old(self, taken: _Taken) -> bool:
        return taken.at <= self._clock() - self._seconds


def as_read(record: Record) -> bytes:
    """The document as CouchDB will return it once it is stored."""
    fields = _fields(record.document)
    revision = msgspec.Raw(msgspec.json.encode(record.revision))
    return msgspec.json.encode({"_id": fields.pop("_id"), "_rev": revision, **fields})
