"""Whether the database answers: one log line when that changes, not one per retry."""

import logging
import time
from collections.abc import Callable

from app.couchdb.errors import DatabaseError, Misconfigured, Unavailable

logger = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds of failures without a success in between, after which it counts as down."""

ADVICE = {
    "401": "check PERSISTER_COUCHDB_USER and PERSISTER_COUCHDB_PASSWORD (or ..._PASSWORD_FILE)",
    "403": "give the user of PERSISTER_COUCHDB_USER the right to write to the database",
    "404": "check PERSISTER_COUCHDB_URL and PERSISTER_DATABASE, create the database, or allow the "
    "persister to with PERSISTER_DATABASE_CREATE=true and an administrator's credentials",
    "certificate": "set PERSISTER_COUCHDB_CA_FILE to the authority that signed it",
}
CHECK_ADDRESS = "check PERSISTER_COUCHDB_URL"
CHECK_DATABASE = "check that CouchDB runs and that PERSISTER_COUCHDB_URL points to it"


class Availability:
    """Follows failures and successes.

    Args:
        name: The database and its address, without credentials, for the log.
        clock: Seconds, monotonic.
        wall: Seconds since the epoch, for people.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.failing_since: float | None = None
        """Epoch seconds of the first failure since the last success."""
        self.last_error: str | None = None
        """What the last failure said; stays after a recovery."""
        self.last_error_at: float | None = None
        """Epoch seconds."""
        self.successes = 0
        """Requests that were answered as they should be."""
        self._name = name
        self._clock = clock
        self._wall = wall
        self._first_failure = 0.0
        self._announced: str | None = None

    @property
    def down(self) -> bool:
        """Whether the database is known not to take documents."""
        return self._announced is not None

    def failed(self, error: DatabaseError) -> None:
        """A request failed. Being asked to slow down (429) is no failure of the database."""
        self.last_error, self.last_error_at = str(error), self._wall()
        if isinstance(error, Unavailable) and error.throttled:
            return
        if self.failing_since is None:
            self.failing_since, self._first_failure = self.last_error_at, self._clock()
        lasting = self._clock() - self._first_failure >= PATIENCE
        if _state(error) != self._announced and (lasting or isinstance(error, Misconfigured)):
            self._announced = _state(error)
            logger.error("%s takes no documents: %s; %s", self._name, error, _advice(error))

    def succeeded(self) -> None:
        """A request was answered as it should be."""
        self.successes += 1
        if self._announced is not None:
            lasted = self._clock() - self._first_failure
            logger.info("%s takes documents again, after %.0f s", self._name, lasted)
        self.failing_since = self._announced = None


def _state(error: DatabaseError) -> str:
    return error.cause if isinstance(error, Misconfigured) else "unavailable"


def _advice(error: DatabaseError) -> str:
    if isinstance(error, Misconfigured):
        return ADVICE.get(error.cause, CHECK_ADDRESS)
    return f"retrying until it does: {CHECK_DATABASE}"
