"""What CouchDB keeps to itself: ids and fields of a document that mean something to it."""

from models import exact_json

RESERVED_PREFIX = "_"
"""An id that begins so is a design document, a local one, or one of CouchDB's own to come; a field
that does is part of how CouchDB stores the document."""

ID_FIELD = "_id"


def is_reserved(document: bytes) -> bool:
    """Whether this is no document that an activation can have: nothing writes it to the database.

    For whatever is not on the hot path, where ids and fields are looked at as they are read.
    """
    try:
        text = document.decode()
        if not isinstance(exact_json.loads(text), dict):
            return True
        members = exact_json.members(text)
    except ValueError:
        return True
    document_id = members[ID_FIELD].value if ID_FIELD in members else None
    return (
        not isinstance(document_id, str)
        or document_id.startswith(RESERVED_PREFIX)
        or any(name.startswith(RESERVED_PREFIX) for name in members.keys() - {ID_FIELD})
    )
