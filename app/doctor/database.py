"""Checks the database: connection, rights and setup."""

from collections.abc import AsyncIterator

from app.couchdb import Database, DatabaseError, connected
from app.couchdb.availability import advice
from app.couchdb.errors import DatabaseMissing
from app.doctor.finding import Finding, State
from app.settings import DatabaseSettings


async def examine_database(settings: DatabaseSettings) -> AsyncIterator[Finding]:
    """Look at the database, without changing it."""
    async with connected(settings) as database:
        async for finding in _examine(database, settings):
            yield finding


async def _examine(database: Database, settings: DatabaseSettings) -> AsyncIterator[Finding]:
    try:
        info = await database.info()
    except DatabaseMissing as error:
        if settings.create:
            yield Finding(
                "database",
                State.WARNING,
                f"{database.address} does not exist; the first worker creates it, for which it "
                "needs an administrator's credentials",
            )
        else:
            yield Finding("database", State.WRONG, f"{database.address}: {error}; {advice(error)}")
        return
    except DatabaseError as error:
        yield Finding("database", State.WRONG, f"{database.address}: {error}; {advice(error)}")
        return
    yield Finding(
        "database",
        State.OK,
        f"{database.address}: CouchDB {info.version}, {info.documents} documents, "
        f"{info.bytes / 1024**2:.1f} MiB",
    )
    for what, check in (
        ("right to read", lambda: database.read_back([])),
        ("right to write", database.check_right_to_write),
    ):
        try:
            await check()
        except DatabaseError as error:
            yield Finding(what, State.WRONG, f"{error}; {advice(error)}")
        else:
            yield Finding(what, State.OK, settings.user or "without a user")
    try:
        missing = await database.missing()
    except DatabaseError as error:
        yield Finding("design documents", State.WARNING, str(error))
        return
    if missing:
        who = "the first worker creates them" if settings.create else "nobody creates them"
        detail = f"{', '.join(missing)} are missing, without which OpenWhisk lists nothing; {who}"
        yield Finding("design documents", State.WARNING, detail)
    else:
        yield Finding("design documents", State.OK, "those of OpenWhisk are there")
