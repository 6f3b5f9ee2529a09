# ruff: noqa: N818 - verdicts that are caught by name; "Error" at the end would say nothing more
"""What can go wrong between the writer and the database.

`database` and `answers` translate every aiohttp exception and every unsuccessful answer into one of
these. The messages name addresses and settings, never credentials. None of them alone condemns a
document: that depends on what else passes meanwhile (`app.couchdb.evidence`).
"""

SURELY_THE_DATABASE = frozenset({"429", "503", "connection"})
"""Causes that by themselves say that nothing in the request is to blame."""

OF_THE_SERVER = frozenset(
    {
        *("insufficent_storage", "insufficient_storage", "nodedown", "maintenance_mode"),
        *("all_dbs_active", "write_quorum_not_met", "service unavailable", "service_unavailable"),
        "conflict",  # again and again, of an update: a copy that is read lags behind
    }
)
"""Errors of an entry that name a state of a node or shard. It may be one of several, and the others
store their documents meanwhile. No document is ever to blame for one of these.
"""

RATHER_THE_SERVER = frozenset({"internal_server_error", "timeout", "unanswered"})
"""Errors of an entry that nearly always mean that no copy of its shard answers (the last one is
ours, for a row that did not come). But a document that crashes the process which stores it gets the
same error, so one that fails for long is to blame after all.
"""


class DatabaseError(Exception):
    """A request that did not succeed.

    Args:
        message: what happened and, if somebody can act, what to do.
        cause: a short fixed word or the HTTP status, for counting.
    """

    maybe_written = False
    """Whether the database may have done what was asked, and only the answer is missing."""

    foreign = False
    """Whether something else than CouchDB has answered, probably a proxy."""

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause

    @property
    def counts_against_account(self) -> bool:
        """Whether each such attempt brings the account closer to being locked (CouchDB 3.4)."""
        return self.cause in ("401", "locked")

    @property
    def about_server(self) -> bool:
        """Whether it names a state of the server that no document can cause."""
        return False

    @property
    def says_whose_fault(self) -> bool:
        """Whether it blames the database or its set-up by its own words."""
        return self.cause in SURELY_THE_DATABASE


class Unavailable(DatabaseError):
    """A transient failure: no connection, a time-out, 408, 429, 5xx, or not a CouchDB answer.

    Args:
        message: what happened.
        cause: see `DatabaseError`.
        maybe_written: see `DatabaseError`.
        retry_after: seconds to wait, if the database or a proxy asks for that.
    """

    def __init__(
        self,
        message: str,
        *,
        cause: str,
        maybe_written: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, cause=cause)
        self.maybe_written = maybe_written
        self.retry_after = retry_after

    @property
    def throttled(self) -> bool:
        """Whether the database works, but asks for a slower pace (429)."""
        return self.cause == "429"


class PartlyStored(Unavailable):
    """A 500 with an entry for each document: no copy of some shard has taken its documents.

    Also a 417 with entries for refusals by validation functions, as CouchDB's documentation
    describes it.

    Args:
        message: the error of the first failed entry.
        cause: the HTTP status.
        body: the answer with the entries.
    """

    def __init__(self, message: str, *, cause: str, body: bytes) -> None:
        super().__init__(message, cause=cause)
        self.body = body


class AnswerTooLarge(Unavailable):
    """An answer that is too large; the rest of it was not read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is larger than {limit} bytes", cause="answer-too-large")


class Misconfigured(DatabaseError):
    """Needs an operator: 401, 403, 404, a redirect, or a certificate that is not trusted."""

    @property
    def says_whose_fault(self) -> bool:
        """True except for 403, with which a proxy may refuse single bodies."""
        return self.cause != "403"


class DatabaseMissing(Misconfigured):
    """CouchDB says that the database does not exist (404 `not_found`)."""


class RequestRefused(DatabaseError):
    """CouchDB's 400: nothing was written, because of something in this or in every request."""

    def __init__(self, message: str) -> None:
        super().__init__(message, cause="400")


class RequestTooLarge(DatabaseError):
    """413: the request or a document is too large, and nothing was written.

    Args:
        message: CouchDB's `error` and `reason`, or that a proxy refused the request.
        document_id: the document that CouchDB names, if it does.
    """

    def __init__(self, message: str, *, document_id: str | None) -> None:
        super().__init__(message, cause="413")
        self.document_id = document_id


class EntriesFailed(DatabaseError):
    """The request was answered, but some of its documents got an error instead of a revision.

    Args:
        message: the first failed entry's `error` and `reason`.
        error: its `error`, such as `forbidden` or `insufficent_storage`.
    """

    maybe_written = True
    """`internal_server_error` and the like may hide a write, and reading back is cheap."""

    @property
    def about_server(self) -> bool:
        """Whether it names a state of a server."""
        return self.cause in OF_THE_SERVER

    @property
    def says_whose_fault(self) -> bool:
        """Whether it blames the server by its own words."""
        return self.about_server or self.cause in RATHER_THE_SERVER

    def __init__(self, message: str, *, error: str) -> None:
        super().__init__(message, cause=error)
