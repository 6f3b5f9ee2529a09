"""Remembers whose records may still reach Kafka, or have, although nobody waited for that.

A record that Kafka does not acknowledge in time is written to CouchDB, and may have been on its way
to Kafka already; or a client that did not get the answer sends it again, and Kafka is back. The
persister stores what arrives: over the tombstone, should the document have been deleted meanwhile.
So a change of such a document waits until the persister has met it.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Final

MOST_WRITTEN: Final = 100_000
"""How many documents to remember that were written to CouchDB, but for those on the wire."""

_LOOKS = 10
"""How many of the oldest to look at for one that may be forgotten."""


class OnTheWire:
    """The ids of documents whose records are on their way to Kafka, or have just arrived there.

    Args:
        seconds: how long after its arrival the persister may take to store a record.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._underway: Counter[str] = Counter()
        self._arrived: OrderedDict[str, float] = OrderedDict()
        self._written: OrderedDict[str, None] = OrderedDict()
        """What may be in CouchDB without the persister, on the wire or not."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        self._forget_old()
        return bool(self._underway or self._arrived)

    def __iter__(self) -> Iterator[str]:
        """Their ids, some twice. No set of all is made: many may ask for the first at once."""
        return chain(self._underway, self._arrived)

    def __contains__(self, document_id: str) -> bool:
        """Whether the persister may still store a document."""
        self._forget_old()
        return document_id in self._underway or document_id in self._arrived

    def is_written(self, document_id: str) -> bool:
        """Whether it may still store one that may be in CouchDB already."""
        return document_id in self and document_id in self._written

    def written(self, document_ids: Iterable[str]) -> list[str]:
        """Those of these documents that were written to CouchDB, on the wire or not."""
        return [one for one in document_ids if one in self._written] if self._written else []

    def add(self, document_ids: Sequence[str], settled: asyncio.Future[None]) -> None:
        """Remember documents until their records have arrived, and for a while after that.

        Args:
            document_ids: of the documents.
            settled: resolves once it is known what became of their records.
        """
        self._underway.update(document_ids)
        settled.add_done_callback(partial(self._settled, document_ids))

    def arrived(self, document_ids: Iterable[str]) -> None:
        """Remember for a while documents whose records have just reached Kafka."""
        now = self._clock()
        for document_id in document_ids:
            self._arrived[document_id] = now
            self._arrived.move_to_end(document_id)

    def write(self, document_ids: Iterable[str]) -> None:
        """Note that documents are written to CouchDB."""
        for document_id in document_ids:
            self._written[document_id] = None
            self._written.move_to_end(document_id)
            for _ in range(_LOOKS):
                if len(self._written) <= MOST_WRITTEN:
                    break
                oldest, _ = self._written.popitem(last=False)
                if oldest in self._underway or oldest in self._arrived:
                    self._written[oldest] = None

    def _settled(self, document_ids: Sequence[str], _: asyncio.Future[None]) -> None:
        for document_id in document_ids:
            self._underway[document_id] -= 1
            if not self._underway[document_id]:
                del self._underway[document_id]
        # Refused records count as well: a new client may have sent them again.
        self.arrived(document_ids)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._arrived and next(iter(self._arrived.values())) <= now - self._seconds:
            self._arrived.popitem(last=False)
