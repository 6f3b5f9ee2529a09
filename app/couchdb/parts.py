"""Splits a failed request into parts, so that one bad document costs one document."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.storing.sink import Document

WAYS = 8
"""Parts that a failed request is split into: few requests when one document is to blame, and not
many more when all of them are."""

WAYS_OF_HANGING = 32
"""The same of one that hangs: each step costs time, and what does not hang is answered at once."""

SUSPECT_SECONDS = 15.0
"""For a request in which something is suspected to hang: it must not keep the others for as long as
a whole request may take."""

SUSPECT_BYTES = 64 * 1024
"""For each of so many there is a second more: on a slow line, what is large takes long."""


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
        apart: Whether something in it fails while others pass: it takes no slot of theirs.
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
    apart: bool = False

    @property
    def bytes(self) -> int:
        """Of its documents."""
        return size_of(self.documents)


def size_of(documents: Sequence[Document]) -> int:
    """Bytes of some documents."""
    return sum([len(document.body) for document in documents])


def suspect_timeout(documents: Sequence[Document]) -> float:
    """Seconds for a request with documents that others are suspected to be stored without."""
    return SUSPECT_SECONDS + size_of(documents) / SUSPECT_BYTES


def divide(part: Part, ways: int = WAYS, *, apart: bool = True) -> list[Part]:
    """Parts of nearly equal numbers of documents; see `Part` for `apart`."""
    size = max(1, -(-len(part.documents) // ways))
    parts = [part.documents[start : start + size] for start in range(0, len(part.documents), size)]
    return [
        replace(like(part, one), timeout=suspect_timeout(one), apart=part.apart or apart)
        for one in parts
    ]


def like(part: Part, documents: Sequence[Document]) -> Part:
    """A part of fewer documents, nothing of which has failed yet."""
    return replace(part, documents=documents, failures=0, beside_others=0)
