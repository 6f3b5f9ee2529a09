"""Which documents an activation can have: nothing else is written to the database."""

import re
from collections.abc import Iterable
from typing import Final

from models import json_grammar, json_text
from models.fields import ACTIVATION_ID, ENTITY_NAME
from models.patterns import compiled

RESERVED_PREFIX = "_"
"""An id that begins so is a design document, a local one, or one of CouchDB's own to come; a field
that does is part of how CouchDB stores the document."""

ID_FIELD = "_id"

_is_activation_id = re.compile(ACTIVATION_ID).fullmatch

# Possessive, since an id may have as many names as a record has room for: each way back that is
# kept would take some hundred bytes.
_is_namespace = compiled(rf"(?!_){ENTITY_NAME}(?:/{ENTITY_NAME})*+").fullmatch

_RESERVED: Final = json_text.Names((), prefix=RESERVED_PREFIX)

_SHOWN_NAME: Final = 60


class ReservedError(ValueError):
    """A document is none that an activation can have; says why."""


def check(document_id: str, names: Iterable[str]) -> None:
    """Check what tells an activation's document from all others.

    Args:
        document_id: its `_id`.
        names: of its fields, not those within them.

    Raises:
        ReservedError: it could be a design document, delete another one, or be anything else.
    """
    for name in names:
        if name.startswith(RESERVED_PREFIX) and name != ID_FIELD:
            raise ReservedError(explain(name))
    if not _is_document_id(document_id):
        raise ReservedError("its _id is not <namespace>/<activation id>")


def _is_document_id(document_id: str) -> bool:
    """Whether it is `<namespace>/<activation id>`, as routing makes it of `owned_path`."""
    namespace, _, activation_id = document_id.rpartition("/")
    return bool(_is_activation_id(activation_id) and _is_namespace(namespace))


def explain(name: str) -> str:
    """Why a record with a field of this name is not stored."""
    return f"{name[:_SHOWN_NAME]!a}: CouchDB keeps names beginning with _ to itself"


def checked_id(document: bytes) -> str:
    """The `_id` of a document, whatever it is; takes time, so not for each record.

    Raises:
        ReservedError: no activation has such a document.
        ValueError: it is not a JSON object with a string `_id`.
    """
    json_grammar.check(document)
    document_id = None
    names: list[str] = []
    if document.lstrip().startswith(b"{"):
        for name, _, _, start, end in _RESERVED.members(document):
            if name == ID_FIELD:
                document_id = json_text.shallow(document, start, end)
            elif not names:
                names.append(name)
    if not isinstance(document_id, str):
        raise ValueError("not a JSON object with an _id")  # noqa: TRY004 - as json says it
    check(document_id, names)
    return document_id


def is_reserved(document: bytes) -> bool:
    """Whether this is no document that an activation can have."""
    try:
        checked_id(document)
    except ValueError:
        return True
    return False
