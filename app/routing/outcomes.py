"""The possible decisions about a message."""

from typing import Final

from msgspec import Raw, Struct

from models.reasons import RejectReason, SkipReason

# Structs of msgspec, because a frozen dataclass takes six times as long to make, for every record.


class Store(Struct, frozen=True, gc=False):
    """Store this document, an encoded JSON object that is ready for the database."""

    activation_id: str
    document: bytes


class Skip(Struct, frozen=True, gc=False):
    """Store nothing: the message has no record, or the rules leave it out."""

    reason: SkipReason


class Reject(Struct, frozen=True, gc=False):
    """Set the record aside as a dead letter.

    `detail` names the field and what is allowed, never its contents.
    """

    reason: RejectReason
    detail: str


class Candidate(Store, frozen=True, gc=False):
    """A valid activation record, which is stored unless the rules leave it out."""

    namespace: str
    status_code: int
    transid: Raw
    """As it was written; decoded only if a store level needs it."""


NO_TRANSID: Final = Raw(b"null")
"""The transid of a message without one: OpenWhisk reads anything malformed as unknown."""


Decision = Store | Skip | Reject
