"""Checks whether the database's validation functions accept what the persister writes."""

import json

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.couchdb import Database
from app.couchdb.answers import read
from app.couchdb.availability import advice
from app.couchdb.database import ONLY_DESIGN, PROBE_ID
from app.couchdb.errors import EntriesFailed
from app.doctor.finding import Finding, State
from app.process.printable import shown

WHAT = "validation functions"

LONGEST_REFUSAL = 500
"""Characters shown of what was noted in the database, where others may write, too."""


class _Design(msgspec.Struct):
    validate_doc_update: Raw | UnsetType = UNSET


class _Value(msgspec.Struct):
    deleted: bool = False


class _Row(msgspec.Struct):
    id: str = ""
    doc: _Design | None = None
    value: _Value | None = None


class _Rows(msgspec.Struct):
    rows: list[_Row] = []


_rows = msgspec.json.Decoder(_Rows)


async def examine_validation(database: Database) -> Finding:
    """Ask them, where that changes nothing: where the probe of a worker is there already.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    names = await database.ask("GET", f"{ONLY_DESIGN}&include_docs=true", read=validating)
    if not names:
        return Finding(WHAT, State.OK, "none")
    asked = json.dumps({"keys": [PROBE_ID]}).encode()
    if not await database.ask("POST", "_all_docs", asked, read=probed):
        if refusal := await database.learned_refusal():
            detail = (
                f"{', '.join(names)} took documents when a worker last stored some, and refuse "
                f"only its probe ({shown(refusal, longest=LONGEST_REFUSAL)})"
            )
            return Finding(WHAT, State.OK, detail)
        detail = (
            f"{', '.join(names)} may refuse documents, which shows when a worker writes the first"
        )
        return Finding(WHAT, State.WARNING, detail)
    try:
        await database.check_takes_documents()
    except EntriesFailed as error:
        return Finding(WHAT, State.WRONG, f"{error}; {advice(error, retried=False)}")
    return Finding(WHAT, State.OK, f"{', '.join(names)} take what the persister writes")


def validating(listing: bytes) -> list[str]:
    """The design documents in a listing, with their contents, that validate others."""
    return [
        row.id
        for row in read(_rows, listing).rows
        if row.doc and isinstance(row.doc.validate_doc_update, Raw)
    ]


def probed(listing: bytes) -> bool:
    """Whether the listing of the probe's id says that it is there, deleted as it should be."""
    return any(row.value is not None and row.value.deleted for row in read(_rows, listing).rows)
