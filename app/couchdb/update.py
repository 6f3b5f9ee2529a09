"""Updates of stored documents, which add the logs that these lack."""

from typing import Final

from app.storing.sink import Document
from models import json_text

_revisions: Final = json_text.Names(["_rev"]).members


class Update(Document, frozen=True, gc=False):
    """A document with the revision of the stored one that it replaces.

    Args:
        plain: the document alone. Whatever is wrong with a record is wrong with this: it is not the
            record that brought the revision.
    """

    plain: Document


def update_of(document: Document, stored: bytes) -> Update:
    """The document as an update of the stored one, which has a `_rev`."""
    plain = plain_of(document)
    *_, (_, _, _, start, end) = _revisions(stored)
    body = b'{"_rev":' + stored[start:end] + b"," + plain.body.lstrip()[1:]
    return Update(plain.id, body, plain)


def plain_of(document: Document) -> Document:
    """The document as its record had it."""
    return document.plain if isinstance(document, Update) else document
