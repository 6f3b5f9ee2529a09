"""Dividing a request that failed as a whole, so that one bad document costs one document."""

from collections.abc import Sequence
from dataclasses import replace

from app.couchdb.requests import Part
from app.couchdb.suspects import divide_suspects
from app.storing.sink import Document


def isolate_suspects(part: Part) -> list[Part]:
    """After a 400: the clean documents together, each suspect alone; halves without a suspect."""
    clean, suspects = divide_suspects(part.documents)
    if not suspects:
        return halve(part)
    together = [_like(part, clean)] if clean else []
    return together + [_like(part, [suspect]) for suspect in suspects]


def halve(part: Part) -> list[Part]:
    """Two parts of half the documents each."""
    middle = len(part.documents) // 2
    return [_like(part, part.documents[:middle]), _like(part, part.documents[middle:])]


def without(part: Part, document_id: str) -> Part:
    """The part without the document that the database named."""
    return _like(part, [document for document in part.documents if document.id != document_id])


def _like(part: Part, documents: Sequence[Document]) -> Part:
    return replace(part, documents=documents)
