"""Marks documents that the audit sends again because the database lacks them."""

from collections.abc import Iterable
from typing import Final

REPAIR: Final = "persister-repair"
"""Header of such a document in the internal topic, the only one where it counts. The guard is not
asked then: it remembers that the document was stored once, and only the database knows that it is
gone."""


def is_repair(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Tell whether a consumed record of the internal topic was sent by a repair."""
    return any(name == REPAIR for name, _ in headers)
