"""What is written: documents as bytes."""

import msgspec


class Document(msgspec.Struct, frozen=True, gc=False):
    """One activation document, ready to be stored.

    A struct because there is one for every record: it is made in a tenth of a dataclass's time.

    Args:
        id: The CouchDB `_id`, `<namespace>/<activation id>`.
        body: The encoded JSON object; it contains `_id`.
    """

    id: str
    body: bytes
