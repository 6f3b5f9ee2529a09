"""Queues documents: takes whole calls and cuts full requests."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.couchdb.parts import size_of
from app.storing.sink import STORED, Document, Result
from app.tracing import CHUNK

LARGE = 1024 * 1024
"""Size in bytes above which a document gets a request of its own and a separate queue. The database
takes some tenths of a second per megabyte or two, which is long for those that wait behind it.
"""

SMALLEST_REQUEST = 64 * 1024
"""Requests are never cut smaller than this, in bytes."""


class Call:
    """A call of `BulkWriter.write`: its documents, and a countdown to its last result.

    Args:
        documents: in the caller's order.
        arrived: when the call was made.
        done: resolves once every document has its result.
    """

    __slots__ = ("arrived", "bytes", "chunk", "documents", "done", "results", "unsettled")

    def __init__(
        self, documents: Sequence[Document], arrived: float, done: asyncio.Future[None]
    ) -> None:
        self.documents = documents
        self.bytes = size_of(documents)
        self.arrived = arrived
        self.chunk = CHUNK.get()
        """The span of the chunk that the documents came in."""
        self.done = done
        self.unsettled = len(documents)
        self.results: list[Result] = [STORED] * len(documents)

    def settle(self, start: int, results: Sequence[Result]) -> None:
        """Set the results of the documents from a position on."""
        self.results[start : start + len(results)] = results
        self.unsettled -= len(results)
        if not self.unsettled and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        """End the call without results, unless it has already ended."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive documents of a call that are sent in the same request."""

    call: Call
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Documents of one or more calls that were taken out of the queue together."""

    slices: list[Slice]
    documents: list[Document]

    def settle(self, results: Sequence[Result]) -> None:
        """Distribute results, in the order of the documents, among the calls."""
        position = 0
        for part in self.slices:
            size = part.end - part.start
            part.call.settle(part.start, results[position : position + size])
            position += size

    def fail(self, error: BaseException) -> None:
        """End the calls that these documents belong to."""
        for part in self.slices:
            part.call.fail(error)


class Queue:
    """Documents in the order of arrival, cut into requests.

    Args:
        request_documents: the most documents in a request.
        request_bytes: the most bytes in a request; a larger document is sent alone.
    """

    def __init__(self, request_documents: int, request_bytes: int) -> None:
        self.documents = 0
        """How many documents are waiting."""
        self.bytes = 0
        """The size of the waiting documents in bytes."""
        self.under_way = 0
        """How many requests were taken and are not yet settled."""
        self._request_documents = request_documents
        self._request_bytes = request_bytes
        self._calls: deque[Call] = deque()
        self._position = 0

    @property
    def full(self) -> bool:
        """Whether enough is waiting for a request of the largest size."""
        return self.documents >= self._request_documents or self.bytes >= self._request_bytes

    @property
    def oldest(self) -> float | None:
        """When the first waiting call arrived; None if nothing is waiting."""
        return self._calls[0].arrived if self._calls else None

    def shrink(self, refused: int) -> None:
        """Make smaller requests from now on, because one of this size was refused as too large."""
        smaller = max(SMALLEST_REQUEST, refused // 2)
        self._request_bytes = min(self._request_bytes, smaller)

    def put(self, call: Call) -> None:
        """Append a call with at least one document."""
        self._calls.append(call)
        self.documents += len(call.documents)
        self.bytes += call.bytes

    def discard(self, call: Call) -> None:
        """Remove the waiting documents of a call whose caller has gone."""
        if call not in self._calls:
            return
        begin = self._position if call is self._calls[0] else 0
        left = call.documents[begin:]
        self._forget(left, size_of(left))
        if call is self._calls[0]:
            self._position = 0
        self._calls.remove(call)

    def take(self) -> Request:
        """Take the next request, with at least one document."""
        slices: list[Slice] = []
        documents: list[Document] = []
        room = self._request_bytes
        while self._calls and len(documents) < self._request_documents:
            call, start = self._calls[0], self._position
            end = self._reach(call, start, self._request_documents - len(documents), room)
            if end == start:
                if documents:
                    break
                end = start + 1
            taken = call.documents[start:end]
            whole = len(taken) == len(call.documents)
            room -= self._forget(taken, call.bytes if whole else size_of(taken))
            documents += taken
            slices.append(Slice(call, start, end))
            self._advance(call, end)
        return Request(slices, documents)

    def take_all(self) -> list[Call]:
        """Empty the queue; returns the calls whose documents were not all taken."""
        calls = list(self._calls)
        self._calls.clear()
        self._position = self.documents = self.bytes = 0
        return calls

    def _reach(self, call: Call, start: int, most: int, room: int) -> int:
        """The position up to which a call's documents fit into the room."""
        end = min(len(call.documents), start + most)
        if start == 0 and end == len(call.documents) and call.bytes <= room:
            return end
        for position in range(start, end):
            room -= len(call.documents[position].body)
            if room < 0:
                return position
        return end

    def _forget(self, documents: Sequence[Document], size: int) -> int:
        self.documents -= len(documents)
        self.bytes -= size
        return size

    def _advance(self, call: Call, end: int) -> None:
        if end == len(call.documents):
            self._calls.popleft()
            self._position = 0
        else:
            self._position = end
