"""Remembers which documents were deleted lately: only CouchDB can write those again.

To the persister, a record that it has stored once is a duplicate: a late copy from Kafka must not
bring a deleted document back. Whoever writes it again through the gateway, though, means it.
"""

import time
from collections import Counter, OrderedDict, defaultdict
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

_PARTS: Final = 1000
"""What is forgotten at once is such a part of the most."""

_NOBODY: Final = ""
"""The owner of what CouchDB itself calls deleted, to whoever reads it."""

_NOT_FOUND: Final = 404
_DONE: Final = range(200, 300)
_DENIED: Final = range(400, NO_ANSWER)


class Deleted:
    """The ids of documents that were deleted, or may have been.

    If they are too many, whoever has named most of them loses his oldest: a member whose deletions
    a validation function refuses leaves everybody else at least as many as he keeps himself.

    Args:
        most: most ids to remember.
        clock: monotonic seconds.
    """

    def __init__(self, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._all_until = float("-inf")
        # By hash, since ids are long: of two that have the same, CouchDB may hear both.
        self._of: defaultdict[str, OrderedDict[int, None]] = defaultdict(OrderedDict)
        """What each owner has named, the newest last."""
        self._named: Counter[int] = Counter()
        """By how many owners."""
        self._size = 0

    def __contains__(self, document_id: str) -> bool:
        return hash(document_id) in self._named or self._clock() < self._all_until

    def note(self, document_id: str, owner: str) -> None:
        """Remember that a document was deleted.

        Args:
            document_id: its id.
            owner: who said so. What somebody else has said, too, counts for each of them.
        """
        key = hash(document_id)
        own = self._of[owner]
        if key not in own:
            self._named[key] += 1
            self._size += 1
        own[key] = None
        own.move_to_end(key)
        if self._size > self._most:
            self._forget_some()

    def _forget_some(self) -> None:
        """Forget the oldest of whoever has most, many at once: all owners are looked at."""
        owner, own = max(self._of.items(), key=lambda one: len(one[1]))
        for _ in range(min(len(own), max(1, self._most // _PARTS))):
            key, _ = own.popitem(last=False)
            self._size -= 1
            self._named[key] -= 1
            if not self._named[key]:
                del self._named[key]
        if not own:
            del self._of[owner]

    async def changing(
        self,
        change: Change,
        answer: Awaitable[web.StreamResponse],
        *,
        owner: str = _NOBODY,
        may: bool = True,
    ) -> web.StreamResponse:
        """Remember documents that a request may have deleted, unless CouchDB did not carry it out.

        Args:
            change: what the request may change.
            answer: CouchDB's to the request.
            owner: who sends the request.
            may: whether CouchDB has said that the client may change that, and the request is meant
                to. If not, only an answer that says that it was done counts: by a request that he
                does not wait for, anybody could have records go to CouchDB.

        Returns:
            The answer.

        Raises:
            UnreachableError: what `answer` raises. It may raise anything else as well.
        """
        # After a connection that broke, or a client that left, they may be deleted as well.
        deleted = may
        try:
            response = await answer
            if response.status in _DONE:
                deleted = True
            elif response.status in _DENIED:
                # Where no document is named, it is the design document that is deleted.
                deleted = bool(change.ids) and _says_deleted(response)
        except UnreachableError:
            deleted = False
            raise
        finally:
            if deleted:
                for document_id in change.ids:
                    self.note(document_id, owner)
                if change.all:
                    self._all_until = self._clock() + _ALL
        return response

    def read(self, document_id: str, response: web.StreamResponse) -> None:
        """Remember a document that CouchDB's answer to a read calls deleted."""
        if _says_deleted(response):
            self.note(document_id, _NOBODY)


def _says_deleted(response: web.StreamResponse) -> bool:
    if response.status != _NOT_FOUND or not isinstance(response, web.Response):
        return False
    body = response.body
    return isinstance(body, bytes | bytearray) and b'"deleted"' in body
