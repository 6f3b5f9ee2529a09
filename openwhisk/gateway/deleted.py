"""Remembers which documents were deleted lately: only CouchDB can write those again.

To the persister, a record that it has stored once is a duplicate: a late copy from Kafka must not
bring a deleted document back. Whoever writes it again through the gateway, though, means it.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from openwhisk.gateway.answers import NO_ANSWER
from openwhisk.gateway.targets import Change
from openwhisk.gateway.upstream import UnreachableError

_MOST: Final = 100_000
"""Most ids to remember; each takes some two hundred bytes."""

_ALL: Final = 60.0
"""Seconds for which all documents count as deleted when any may be.

Longer than the workers take to notice that the database is another one: they look every ten. What
a body deleted that the gateway could not read to its end they never notice; for that it is a
compromise, since meanwhile nothing goes to Kafka.
"""

_NOT_FOUND: Final = 404
_DENIED: Final = range(400, NO_ANSWER)


class Deleted:
    """The ids of documents that were deleted, or may have been, the newest ones if too many.

    Args:
        most: most ids to remember.
        clock: monotonic seconds.
    """

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._all_until = float("-inf")
        # By hash, since ids are long: of two that have the same, CouchDB may hear both.
        self._hashes: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, document_id: str) -> bool:
        return hash(document_id) in self._hashes or self._clock() < self._all_until

    def note(self, document_id: str) -> None:
        """Remember that a document was deleted."""
        key = hash(document_id)
        self._hashes[key] = None
        self._hashes.move_to_end(key)
        if len(self._hashes) > self._most:
            self._hashes.popitem(last=False)

    async def changing(
        self, change: Change, answer: Awaitable[web.StreamResponse]
    ) -> web.StreamResponse:
        """Remember documents that a request may have deleted, unless CouchDB did not carry it out.

        Args:
            change: what the request may change.
            answer: CouchDB's to the request.

        Returns:
            The answer.

        Raises:
            UnreachableError: what `answer` raises. It may raise anything else as well.
        """
        refused = False
        try:
            response = await answer
            refused = response.status in _DENIED and not _says_deleted(response)
        except UnreachableError:
            refused = True
            raise
        finally:
            # After a connection that broke, or a client that left, they may be deleted as well.
            if not refused:
                for document_id in change.ids:
                    self.note(document_id)
                if change.all:
                    self._all_until = self._clock() + _ALL
        return response

    def read(self, document_id: str, response: web.StreamResponse) -> None:
        """Remember a document that CouchDB's answer to a read calls deleted."""
        if _says_deleted(response):
            self.note(document_id)


def _says_deleted(response: web.StreamResponse) -> bool:
    if response.status != _NOT_FOUND or not isinstance(response, web.Response):
        return False
    body = response.body
    return isinstance(body, bytes | bytearray) and b'"deleted"' in body
