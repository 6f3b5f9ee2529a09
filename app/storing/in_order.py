"""Documents of the same id, one at a time and in the order in which they came.

The first of two that differ is the one that stays in the database, so a small one must not overtake
a large one that takes longer to read, nor one whose chunk is busy with other documents.

Nobody looks through the documents whose turn it is not: whoever writes records decides how many of
them have the same id. Where more than a few are behind one that is in the database, they need not
have their turn, unless they are to be written: the step takes them out together, and puts the
others back.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from app.storing.sink import Document

D = TypeVar("D", bound=Document)

FEW = 3
"""Up to this many documents behind another have their turns: they share requests with whatever else
is written, while those that are taken out are a request of their chunk's own. OpenWhisk itself may
send two of an id, without the logs and with them.
"""


class Line(Generic[D]):
    """The documents of one chunk: those whose turn it is, and how many wait for theirs."""

    def __init__(self) -> None:
        self.ready: list[D] = []
        """Whose turn has come; whoever takes care of a document takes it out."""
        self.waiting = 0
        """How many have not had their turn."""
        self._moved: asyncio.Future[None] | None = None

    def moved(self) -> "asyncio.Future[None]":
        """Resolves when another document has its turn."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        return self._moved

    def advance(self, document: D) -> None:
        """Note that it is the turn of a document that has been waiting."""
        self.waiting -= 1
        self.ready.append(document)
        if self._moved is not None:
            moved, self._moved = self._moved, None
            moved.set_result(None)


class InOrder(Generic[D]):
    """Whose turn it is, by document id.

    Every document that enters has to leave, unless the worker ends.
    """

    def __init__(self) -> None:
        self._behind: dict[str, deque[tuple[D, Line[D]]] | None] = {}
        """Of each id that a document has its turn of, the others, if there are any."""

    def enter(self, documents: Iterable[D], line: Line[D]) -> None:
        """Put documents behind all others of their ids; those that are the first are ready."""
        behind = self._behind
        for document in documents:
            if document.id not in behind:
                behind[document.id] = None
                line.ready.append(document)
                continue
            line.waiting += 1
            others = behind[document.id]
            if others is None:
                others = behind[document.id] = deque()
            others.append((document, line))

    def leave(self, documents: Iterable[D]) -> None:
        """Take out documents whose turn it was; the next ones of their ids have theirs."""
        for document in documents:
            others = self._behind[document.id]
            if not others:
                del self._behind[document.id]
                continue
            following, line = others.popleft()
            line.advance(following)

    def take_behind(self, documents: Iterable[D], line: Line[D]) -> list[D]:
        """Take out what comes next behind documents whose turn it is, as far as it is of one chunk.

        Where that is only `FEW`, it stays. Until these documents leave, no others of their ids have
        their turn.
        """
        taken: list[D] = []
        for document in documents:
            others = self._behind[document.id]
            if not others or len(others) <= FEW:
                continue
            if any(of is not line for _, of in islice(others, FEW + 1)):
                continue
            while others and others[0][1] is line:
                taken.append(others.popleft()[0])
        line.waiting -= len(taken)
        return taken

    def put_back(self, documents: Sequence[D], line: Line[D]) -> None:
        """Put documents that were taken out back to where they were."""
        for document in reversed(documents):
            others = self._behind[document.id]
            if others is None:
                others = self._behind[document.id] = deque()
            others.appendleft((document, line))
        line.waiting += len(documents)
