"""Checks before a replay that the database takes documents; otherwise nothing is sent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.couchdb import Database, DatabaseError, connected
from app.couchdb.errors import DatabaseMissing
from app.couchdb.first_answer import Say, hurried, waiting
from app.dead_letters.errors import LettersError
from app.settings import DatabaseSettings

Check = Callable[[], Awaitable[None]]
"""Raises `LettersError` if letters should not be sent now."""


@asynccontextmanager
async def open_check(settings: DatabaseSettings, say: Say) -> AsyncIterator[Check]:
    """Open a check that the database takes documents; its error has CouchDB's reason.

    Args:
        settings: how to connect.
        say: is told what is waited for, if that takes long.
    """
    async with connected(hurried(settings)) as database:

        async def check() -> None:
            try:
                with waiting(database, say):
                    await database.check_takes_documents()
            except DatabaseMissing as error:
                if not settings.create:  # else a worker creates it
                    raise _trouble(database, error) from error
            except DatabaseError as error:
                raise _trouble(database, error) from error

        yield check


def _trouble(database: Database, error: DatabaseError) -> LettersError:
    return LettersError(
        f"{database.address} takes no documents: {error}. The letters that are left stay as they "
        "are and no attempt was counted: run it again when the database is well, or say --force"
    )


async def no_check() -> None:
    """Do not check anything."""
