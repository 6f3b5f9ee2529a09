"""The possible decisions about a message."""

from typing import Final

from msgspec import Raw, Struct

from models.reasons import RejectReason, SkipReason

# Structs of msgspec: a frozen dataclass takes six times as long to make, once per record.


class Store(Struct, frozen=True, gc=False):
    """Store this document (encoded JSON object, ready for the database)."""

    activation_id: str
    document: bytes


class Skip(Struct, frozen=True, gc=False):
    """Store nothing: the message holds no record, or the rules leave it out."""

    reason: SkipReason


class Reject(Struct, frozen=True, gc=False):
    """Set the record aside as a dead letter.

    `detail` names the field and what is allowed, never what was found.
    """

    reason: RejectReason
    detail: str


class Candidate(Store, frozen=True, gc=False):
    """An acceptable activation record: it is stored, unless the rules leave it out."""

    namespace: str
    status_code: int
    transid: Raw
    """As it is written; read only where a store level asks for it."""


NO_TRANSID: Final = Raw(b"null")
"""Of a message without one: OpenWhisk reads whatever is malformed as an unknown transaction."""


Decision = Store | Skip | Reject
