"""What a command asks the database: somebody waits for it, and wants to know soon what for.

Requests may take as long as the settings allow, a minute by default, and one that is frozen takes
all of it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.couchdb.database import Database, DatabaseInfo, connected
from app.settings import DatabaseSettings

ANSWER_SECONDS = 10.0
"""For a request; a database that takes longer is what somebody wants to know."""

SILENCE_SECONDS = 2.0
"""After which it is said what is waited for."""

Say = Callable[[str], None]


def hurried(settings: DatabaseSettings) -> DatabaseSettings:
    """The same settings with no more patience than somebody has who waits."""
    patience = min(settings.request_timeout, ANSWER_SECONDS)
    return settings.model_copy(update={"request_timeout": patience})


async def first_answer(settings: DatabaseSettings, say: Say) -> DatabaseInfo:
    """Ask the database what it is.

    Args:
        settings: how to connect.
        say: is told what is waited for, if it takes long.

    Raises:
        DatabaseError: it does not answer, or refuses.
    """
    async with connected(hurried(settings)) as database:
        return await asked(database, say)


async def asked(database: Database, say: Say) -> DatabaseInfo:
    """The same for a database that is connected already."""
    with waiting(database, say):
        return await database.info()


@contextmanager
def waiting(database: Database, say: Say) -> Iterator[None]:
    """Say that the database is waited for, if what is done meanwhile takes long."""
    line = f"Waiting for the database at {database.address} to answer."
    late = asyncio.get_running_loop().call_later(SILENCE_SECONDS, say, line)
    try:
        yield
    finally:
        late.cancel()
