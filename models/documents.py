"""The fields that a CouchDB document has in addition to the record."""

ENTITY_TYPE = "activation"
"""The `entityType` of an activation's document."""

ADDED_FIELDS = ("_id", "entityType", "updated")
"""What a document has more than the record; whatever the record itself says there is replaced."""

DOCUMENT_START = b'{"updated":'
"""How the persister begins a document: first what differs when the same record comes twice."""


def added_fields(document_id: str, updated: int) -> str:
    """The beginning of a document, up to where the record's own fields go.

    Args:
        document_id: `<namespace>/<activation id>`, as it stands in a JSON string.
        updated: in epoch millis.
    """
    return f'{{"updated":{updated},"_id":"{document_id}","entityType":"{ENTITY_TYPE}",'
