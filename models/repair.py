"""Records that the audit sends again, since their documents are missing in the database."""

from collections.abc import Iterable
from typing import Final

REPAIR: Final = "persister-repair"
"""Header of such a record. It travels to the internal topic, where the guard is not asked: the
guard remembers that the document was stored once, and only the database knows that it is gone."""


def is_repair(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Tell whether a consumed record with these headers was sent by a repair."""
    return any(name == REPAIR for name, _ in headers)
