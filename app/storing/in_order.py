"""Documents of the same id, one at a time and in the order in which they came.

The first of two that differ is the one that stays in the database, so a small one must not overtake
a large one that takes longer to read, nor one whose chunk is busy with other documents.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from app.storing.sink import Document


class InOrder:
    """Whose turn it is, by document id.

    Every document that enters has to leave, unless the worker ends.
    """

    def __init__(self) -> None:
        self._first: dict[str, Document] = {}
        self._behind: dict[str, deque[Document]] = {}
        """The others of an id, if there are any."""
        self._moved: dict[str, asyncio.Future[None]] = {}
        """Resolves when the next of an id becomes the first, if somebody waits for that."""

    def enter(self, documents: Iterable[Document]) -> None:
        """Put documents behind all others of their ids."""
        first = self._first
        for document in documents:
            if first.setdefault(document.id, document) is not document:
                self._behind.setdefault(document.id, deque()).append(document)

    def is_first(self, document: Document) -> bool:
        """Whether it is this document's turn."""
        return self._first[document.id] is document

    def leave(self, documents: Iterable[Document]) -> None:
        """Take out documents whose turn it was; the next ones of their ids have theirs."""
        for document in documents:
            document_id = document.id
            del self._first[document_id]
            if document_id in self._behind:
                self._advance(document_id)

    def moved(self, document: Document) -> asyncio.Future[None]:
        """Resolves when another document of this id has its turn, which may be this one's."""
        if document.id not in self._moved:
            self._moved[document.id] = asyncio.get_running_loop().create_future()
        return self._moved[document.id]

    def _advance(self, document_id: str) -> None:
        behind = self._behind[document_id]
        self._first[document_id] = behind.popleft()
        if not behind:
            del self._behind[document_id]
        moved = self._moved.pop(document_id, None)
        if moved is not None:
            moved.set_result(None)
