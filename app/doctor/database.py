"""Checks the database: connection, rights and setup."""

from collections.abc import AsyncIterator, Sequence

from app.couchdb import Database, DatabaseError, connected
from app.couchdb.availability import advice
from app.couchdb.errors import DatabaseMissing
from app.couchdb.first_answer import Say, asked, hurried
from app.doctor.finding import Finding, State
from app.doctor.validation import examine_validation
from app.process.words import counted
from app.settings import DatabaseSettings

APART = 5.0
"""Seconds that clocks may differ; the header that tells is exact to one."""


async def examine_database(settings: DatabaseSettings, say: Say) -> AsyncIterator[Finding]:
    """Look at the database, without changing it; `say` is told what is waited for."""
    async with connected(hurried(settings)) as database:
        async for finding in _examine(database, settings, say):
            yield finding


async def _examine(
    database: Database, settings: DatabaseSettings, say: Say
) -> AsyncIterator[Finding]:
    try:
        info = await asked(database, say)
    except DatabaseMissing as error:
        if settings.create:
            yield Finding(
                "database",
                State.WARNING,
                f"{database.address} does not exist; the first worker creates it, for which it "
                "needs an administrator's credentials",
            )
        else:
            yield Finding(
                "database",
                State.WRONG,
                f"{database.address}: {error}; {advice(error, retried=False)}",
            )
        return
    except DatabaseError as error:
        yield Finding(
            "database", State.WRONG, f"{database.address}: {error}; {advice(error, retried=False)}"
        )
        return
    yield Finding(
        "database",
        State.OK,
        f"{database.address}: CouchDB {info.version}, {counted(info.documents, 'document')}, "
        f"{info.bytes / 1024**2:.1f} MiB",
    )
    if info.ahead is not None:
        yield clocks(info.ahead)
    for what, check in (
        ("right to read", lambda: database.read_back([])),
        ("right to write", database.check_right_to_write),
    ):
        try:
            await check()
        except DatabaseError as error:
            yield Finding(what, State.WRONG, f"{error}; {advice(error, retried=False)}")
        else:
            yield Finding(what, State.OK, settings.user or "without a user")
    try:
        yield await examine_validation(database)
        missing = await database.missing()
    except DatabaseError as error:
        yield Finding("design documents", State.WARNING, str(error))
        return
    if missing:
        created = settings.create and await database.administers() is not False
        yield missing_design_documents(missing, created=created)
    else:
        yield Finding("design documents", State.OK, "those of OpenWhisk are there")


def missing_design_documents(names: Sequence[str], *, created: bool) -> Finding:
    """What it means that design documents are missing.

    Args:
        names: which.
        created: whether workers create them, as far as is known.
    """
    detail = f"{', '.join(names)} are missing, without which OpenWhisk lists nothing"
    if created:
        detail += "; the first worker creates them, if it has an administrator's credentials"
    else:
        detail += ": run `persister setup` with the credentials of an administrator of the database"
    return Finding("design documents", State.WARNING if created else State.WRONG, detail)


def clocks(ahead: float) -> Finding:
    """Whether this machine and the database's agree about the time.

    Args:
        ahead: seconds that the database's clock is ahead.
    """
    what = "clocks"
    if abs(ahead) <= APART:
        return Finding(what, State.OK, "this machine and the database's agree")
    return Finding(
        what,
        State.WARNING,
        f"the database's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}: ages, "
        "latencies and retention are wrong by as much; have both follow a time server",
    )
