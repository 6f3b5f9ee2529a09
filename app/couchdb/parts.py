"""Splits a failed request into parts, so that one bad document costs one document."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.storing.sink import Document

WAYS = 8
"""How many parts to split a failed request into: few requests if one document is to blame, and not
many more if all of them are.
"""

WAYS_OF_HANGING = 32
"""The same for a request that hangs: each step costs time, and parts that do not hang are answered
at once.
"""

SUSPECT_SECONDS = 15.0
"""Time-out in seconds for a request that may contain a hanging document, which must not hold up the
others for the full time-out.
"""

SUSPECT_BYTES = 64 * 1024
"""Bytes for which one more second is allowed: on a slow line, large documents take long."""


@dataclass(slots=True)
class Part:
    """Documents to send in one request, without duplicate ids.

    Args:
        documents: the documents in the order of the request.
        maybe_written: whether an earlier attempt may have written them without an answer.
        failures: how often the request has failed.
        beside_others: how often it has failed while others passed.
        seen_passes: `Evidence.passes` when it last failed; None if it never has.
        completes: whether these are updates that add logs to stored documents.
        searched: whether they were searched for known faults.
        contradictions: how often the database reported a conflict with a document that it lacks.
        timeout: seconds for the request; None for the configured time-out.
        apart: whether something in it fails while others pass, so that it must not take their
            slots.
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
        """The size of its documents in bytes."""
        return size_of(self.documents)


def size_of(documents: Sequence[Document]) -> int:
    """The size of documents in bytes."""
    return sum([len(document.body) for document in documents])


def suspect_timeout(documents: Sequence[Document]) -> float:
    """Time-out in seconds for a request with documents that are suspected of hanging."""
    return SUSPECT_SECONDS + size_of(documents) / SUSPECT_BYTES


def divide(part: Part, ways: int = WAYS, *, apart: bool = True) -> list[Part]:
    """Divide into parts with nearly equal numbers of documents; see `Part` for `apart`."""
    size = max(1, -(-len(part.documents) // ways))
    parts = [part.documents[start : start + size] for start in range(0, len(part.documents), size)]
    return [
        replace(like(part, one), timeout=suspect_timeout(one), apart=part.apart or apart)
        for one in parts
    ]


def like(part: Part, documents: Sequence[Document]) -> Part:
    """A part like another, with some of its documents, that has not failed yet."""
    return replace(part, documents=documents, failures=0, beside_others=0)
