"""Ids and field names that CouchDB reserves for itself."""

from models import json_text

RESERVED_PREFIX = "_"
"""An id that begins so is a design document, a local one, or one of CouchDB's own to come; a field
that does is part of how CouchDB stores the document."""

ID_FIELD = "_id"


def is_reserved(document: bytes) -> bool:
    """Whether this is no document that an activation can have: nothing writes it to the database.

    For whatever is not on the hot path, where ids and fields are looked at as they are read.
    """
    try:
        json_text.check(document)
    except ValueError:
        return True
    if not document.lstrip().startswith(b"{"):
        return True
    document_id = None
    for member in json_text.members(document):
        name = json_text.name(document, member)
        if name == ID_FIELD:
            document_id = json_text.shallow(document, member.start, member.end)
        elif name.startswith(RESERVED_PREFIX):
            return True
    return not isinstance(document_id, str) or document_id.startswith(RESERVED_PREFIX)
