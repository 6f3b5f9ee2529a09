"""What became of a document: in the database (two ways), or refused for good."""

from dataclasses import dataclass
from enum import Enum

from models.reasons import RejectReason


class Settled(Enum):
    """The document is in the database."""

    STORED = "stored"
    """This writer put it there.

    Also when a conflict shows that an earlier attempt of the same request, whose answer was lost,
    had written it: the record arrived once and was written once.
    """

    DUPLICATE = "duplicate"
    """An equal document was there before."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The document can not be stored, however often it is tried.

    Args:
        reason: `TOO_LARGE`, `REFUSED` or `DIVERGENT`.
        detail: The database's words or the names of differing fields; never a field's contents.
    """

    reason: RejectReason
    detail: str


Result = Settled | Refused

STORED = Settled.STORED
DUPLICATE = Settled.DUPLICATE
