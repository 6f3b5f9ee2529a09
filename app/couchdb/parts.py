"""Splits a failed request into parts, so that one bad document costs one document."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.storing.sink import Document

WAYS = 8
"""Parts that a failed request is split into: few requests when one document is to blame, and not
many more when all of them are."""


@dataclass(slots=True)
class Part:
    """Documents that travel in one request; no id twice.

    Args:
        documents: In the order of the request.
        maybe_written: An earlier attempt may have written them although no answer said so.
        failures: Times that the request failed.
        beside_others: Those of them while others passed.
        seen_passes: What had passed when it last failed (`Evidence.passes`); None: it never has.
        completes: Whether they are stored without their logs, and these are updates with them.
        searched: Whether they were searched for known faults.
        contradictions: Times that the database reported a conflict with a document it lacks.
        timeout: Seconds for the request; None: as long as is set.
    """

    documents: Sequence[Document]
    maybe_written: bool = False
    failures: int = 0
    beside_others: int = 0
    seen_passes: int | None = None
    completes: bool = False
    searched: bool = False
    contradictions: int = 0
    timeout: float | None = None

    @property
    def bytes(self) -> int:
        """Of its documents."""
        return sum(len(document.body) for document in self.documents)


def divide(part: Part, timeout: float, ways: int = WAYS) -> list[Part]:
    """Parts of nearly equal numbers of documents; each may take so many seconds."""
    size = max(1, -(-len(part.documents) // ways))
    return [
        like(part, part.documents[start : start + size], timeout)
        for start in range(0, len(part.documents), size)
    ]


def like(part: Part, documents: Sequence[Document], timeout: float | None = None) -> Part:
    """A part of fewer documents, nothing of which has failed yet."""
    chosen = part.timeout if timeout is None else timeout
    return replace(part, documents=documents, failures=0, beside_others=0, timeout=chosen)
