"""Tracks whether the database is available; logs each change once instead of every retry."""

import logging
import time
from collections.abc import Callable

from app.couchdb.errors import (
    DatabaseError,
    EntriesFailed,
    Misconfigured,
    RequestRefused,
    Unavailable,
)

logger = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds of nothing but failures after which the database counts as down."""

THROTTLED_PATIENCE = 10.0
"""The same for 429, because a healthy database may ask for a slower pace now and then."""

ADVICE = {
    "401": "check PERSISTER_COUCHDB_USER and PERSISTER_COUCHDB_PASSWORD (or ..._PASSWORD_FILE, "
    "which is read again); after three attempts the next ones are minutes apart",
    "locked": "too many wrong passwords came for this user from this address, from the persister "
    "or from somebody else there: CouchDB lets it in again after some minutes; attempts are "
    "minutes apart until then",
    "403": "give the user of PERSISTER_COUCHDB_USER the right to read and write the database",
    "404": "check PERSISTER_COUCHDB_URL and PERSISTER_DATABASE, create the database, or allow the "
    "persister to with PERSISTER_DATABASE_CREATE=true and an administrator's credentials",
    "certificate": "set PERSISTER_COUCHDB_CA_FILE to the authority that signed it, and "
    "PERSISTER_COUCHDB_URL to a name that stands in it",
    "partitioned": "make a database without partitions, or name another one in PERSISTER_DATABASE",
    "reading": "give the user of PERSISTER_COUCHDB_USER the right to read the database: what is "
    "there already cannot be compared without it",
}
ENTRY_ADVICE = {
    "insufficent_storage": "make room on the disk of its database_dir, or mind [disk_monitor] in "
    "its configuration",
    "insufficient_storage": "make room on its disk",
    "forbidden": "a validation function or a right refuses every document: see "
    "validate_doc_update in the database's design documents",
    "unauthorized": "a validation function or a right refuses every document: see "
    "validate_doc_update in the database's design documents",
    "compilation_error": "a validation function (validate_doc_update of a design document) does "
    "not compile: mend it or take it out",
    "unknown_query_language": "a design document names a language that the server does not have: "
    "mend it or take it out",
    "conflict": "a copy of their shard lags behind the others: see whether all nodes are up",
    "illegal_docid": "the database does not take the ids of activations: is it partitioned?",
}
CHECK_ADDRESS = "check PERSISTER_COUCHDB_URL"
CHECK_DATABASE = (
    "check that CouchDB runs and that PERSISTER_COUCHDB_URL points to it, with the right scheme, "
    "http or https"
)
CHECK_ANSWER = "CouchDB is there and says so itself: see its log"
CHECK_LOG = "see CouchDB's log, and whether its disk is full"
SOMETHING_IN_FRONT = (
    "something in front of CouchDB answers in its place: see what it refuses, and check "
    "PERSISTER_COUCHDB_URL"
)
SLOWER = "retrying at the pace that it allows: see what limits the rate"


class Availability:
    """Follows failures and successes of requests.

    Args:
        name: the database and its address without credentials, for the log.
        clock: monotonic seconds.
        wall: epoch seconds, for people.
        does: what to log that the database does, and does not do while it is unavailable.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
        does: tuple[str, str] = ("takes documents", "takes no documents"),
    ) -> None:
        self.failing_since: float | None = None
        """When the first failure since the last success was, in epoch seconds."""
        self.last_error: str | None = None
        """The last failure, kept after a recovery."""
        self.last_error_at: float | None = None
        """When the last failure was, in epoch seconds."""
        self.advice: str | None = None
        """What to do about the last failure."""
        self._name = name
        self._clock = clock
        self._wall = wall
        self._does = does
        self._first_failure = 0.0
        self._announced: str | None = None

    @property
    def down(self) -> bool:
        """Whether it has been failing long enough to count as unavailable."""
        return self._announced is not None

    def failed(self, error: DatabaseError) -> None:
        """Note that a request has failed, and no other one succeeded."""
        self.last_error, self.last_error_at = str(error), self._wall()
        self.advice = advice(error)
        if self.failing_since is None:
            self.failing_since, self._first_failure = self.last_error_at, self._clock()
        lasting = self._clock() - self._first_failure >= _patience(error)
        if _state(error) != self._announced and (lasting or isinstance(error, Misconfigured)):
            self._announced = _state(error)
            logger.error("%s %s: %s; %s", self._name, self._does[1], error, advice(error))

    def succeeded(self) -> None:
        """Note that a request has succeeded."""
        if self._announced is not None:
            lasted = self._clock() - self._first_failure
            logger.info("%s %s again, after %.0f s", self._name, self._does[0], lasted)
        self.failing_since = self._announced = None


def _patience(error: DatabaseError) -> float:
    throttled = isinstance(error, Unavailable) and error.throttled
    return THROTTLED_PATIENCE if throttled else PATIENCE


def _state(error: DatabaseError) -> str:
    """The state that a failure means; each change of state is logged."""
    return error.cause if isinstance(error, Misconfigured | EntriesFailed) else "unavailable"


def advice(error: DatabaseError, *, retried: bool = True) -> str:
    """What to do about a failure; commands that try only once pass `retried=False`."""
    if isinstance(error, Misconfigured):
        if error.foreign and error.cause in ("401", "403"):
            return SOMETHING_IN_FRONT
        return ADVICE.get(error.cause, CHECK_ADDRESS)
    if isinstance(error, EntriesFailed):
        known = ENTRY_ADVICE.get(error.cause, "see CouchDB's log")
        retrying = "nothing is set aside, and all of it is retried until it passes: "
        return f"{retrying if retried else ''}{known}"
    if isinstance(error, Unavailable) and error.throttled:
        return SLOWER
    what = CHECK_DATABASE
    if isinstance(error, RequestRefused) and "illegal_docid" in str(error):
        what = ENTRY_ADVICE["illegal_docid"]
    elif error.cause.isdecimal() and not error.foreign:
        what = CHECK_LOG if error.cause == "500" else CHECK_ANSWER
    return f"{'retrying until it does: ' if retried else ''}{what}"
