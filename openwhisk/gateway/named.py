"""Which documents the body of a request names, whatever else is in it.

What is broken names none where it breaks, because CouchDB refuses it. Nothing is decoded but names
and ids.
"""

from collections.abc import Callable
from typing import Final

from openwhisk.gateway.large import Reading, UncertainError
from openwhisk.gateway.targets import Named
from openwhisk.gateway.turns import Steps

_OBJECT, _ARRAY = b"{["

MOST_MEMBERS: Final = 200_000
"""Most members and items to look at, as fifty thousand deletions have; each takes microseconds."""


def ids_in(
    body: bytes | bytearray,
    named: Named,
    wanted: Callable[[str], bool],
    *,
    members: int = MOST_MEMBERS,
) -> Steps[list[str] | None]:
    """The ids of documents that a body names, of those that are wanted.

    None if it may name any: it has more than is looked at, or what only CouchDB may read.

    Args:
        body: the decompressed body.
        named: where it names them.
        wanted: whether an id is of interest.
        members: most members and items to look at.
    """
    reading = Reading(body, members)
    found: dict[str, None] = {}

    def note(document_id: str | None) -> None:
        if document_id is not None and wanted(document_id):
            found[document_id] = None

    def document(at: int) -> Steps[int]:
        if body[at] != _OBJECT:
            return (yield from reading.value_end(at))
        document_id, end = yield from reading.id_of_object(at)
        note(document_id)
        return end

    def documents(name: str | None, at: int) -> Steps[int]:
        if name == "docs" and body[at] == _ARRAY:
            return (yield from reading.each(at, document))
        return (yield from reading.value_end(at))

    def revisions(name: str | None, at: int) -> Steps[int]:
        note(name)
        return (yield from reading.value_end(at))

    try:
        if named is Named.ONE:
            note((yield from reading.id_of_object(0))[0])
        else:
            yield from reading.members(0, documents if named is Named.DOCS else revisions)
    except (ValueError, IndexError) as error:
        return None if isinstance(error, UncertainError) else list(found)
    return list(found)
