"""What is written: documents as bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One activation document, ready to be stored.

    Args:
        id: The CouchDB `_id`, `<namespace>/<activation id>`.
        body: The encoded JSON object; it contains `_id`.
    """

    id: str
    body: bytes
