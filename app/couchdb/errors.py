# ruff: noqa: N818 - verdicts that are caught by name; "Error" at the end would say nothing more
"""What can go wrong between the writer and the database.

`database` and `answers` translate every aiohttp exception and every unsuccessful answer into one of
these. The messages name addresses and settings, never credentials. None of them alone condemns a
document: that depends on what else passes meanwhile (`app.couchdb.evidence`).
"""

SURELY_THE_DATABASE = frozenset({"429", "503", "connection"})
"""Causes that say of themselves that nothing in the request is to blame."""

OF_THE_SERVER = frozenset(
    {
        *("insufficent_storage", "insufficient_storage", "nodedown", "maintenance_mode"),
        *("all_dbs_active", "write_quorum_not_met", "service unavailable", "service_unavailable"),
    }
)
"""Errors of an entry that name a state of a node or of a shard, which may be one of several: others
take their documents meanwhile. No document is ever to blame for one of these."""

RATHER_THE_SERVER = frozenset({"internal_server_error", "timeout", "unanswered"})
"""Errors of an entry that nearly always say that no copy of its shard answers (the last one is
ours, of a row that did not come). A document that ends
the process which stores it gets the same, so one that fails for long is to blame after all."""


class DatabaseError(Exception):
    """A request that did not succeed.

    Args:
        message: What happened and, where someone can act, what to do.
        cause: A short fixed word or the HTTP status, for counting.
    """

    maybe_written = False
    """Whether the database may have done what was asked and only the answer is missing."""

    foreign = False
    """Whether it was answered, and not in CouchDB's words: by a proxy, probably."""

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause

    @property
    def counts_against_account(self) -> bool:
        """Whether each further attempt does (CouchDB 3.4 locks it)."""
        return self.cause in ("401", "locked")

    @property
    def about_server(self) -> bool:
        """Whether it names a state of the server that no document can bring about."""
        return False

    @property
    def says_whose_fault(self) -> bool:
        """Whether it is the database's or its operator's matter by its own words."""
        return self.cause in SURELY_THE_DATABASE


class Unavailable(DatabaseError):
    """A transient failure: no connection, a time-out, 408, 429, 5xx, or not a CouchDB answer.

    Args:
        message: What happened.
        cause: See `DatabaseError`.
        maybe_written: See `DatabaseError`.
        retry_after: Seconds that the database or a proxy asks to wait.
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
        """Whether the database works and asks for a slower pace (429)."""
        return self.cause == "429"


class PartlyStored(Unavailable):
    """A 500 with an entry for each document: no copy of some shard took its documents.

    Or a 417 with those that a validation function refused, which CouchDB's documentation promises.

    Args:
        message: What the first failed entry says.
        cause: The status.
        body: The answer, with the entries.
    """

    def __init__(self, message: str, *, cause: str, body: bytes) -> None:
        super().__init__(message, cause=cause)
        self.body = body


class AnswerTooLarge(Unavailable):
    """An answer that is larger than any should be; the rest of it was not read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the answer is larger than {limit} bytes", cause="answer-too-large")


class Misconfigured(DatabaseError):
    """Needs an operator, here or at the database: 401, 403, 404, a redirect, a certificate."""

    @property
    def says_whose_fault(self) -> bool:
        """A proxy may refuse single bodies with 403; all else is about the set-up."""
        return self.cause != "403"


class DatabaseMissing(Misconfigured):
    """CouchDB itself says that the database does not exist (404 `not_found`)."""


class RequestRefused(DatabaseError):
    """400 in CouchDB's words: nothing was written. Something in the request, or all of them."""

    def __init__(self, message: str) -> None:
        super().__init__(message, cause="400")


class RequestTooLarge(DatabaseError):
    """413: the request or one document is too large, and nothing was written.

    Args:
        message: CouchDB's `error` and `reason`, or that a proxy refused the request.
        document_id: The document that CouchDB names, if it does.
    """

    def __init__(self, message: str, *, document_id: str | None) -> None:
        super().__init__(message, cause="413")
        self.document_id = document_id


class EntriesFailed(DatabaseError):
    """The request was answered, and one or more documents in it got an error instead of a revision.

    Args:
        message: The first entry's `error` and `reason`.
        error: The first entry's `error`, such as `forbidden` or `insufficent_storage`.
    """

    maybe_written = True
    """`internal_server_error` and the like may hide a write; reading back costs little."""

    @property
    def about_server(self) -> bool:
        """Whether it names a state of the server, or of one of them."""
        return self.cause in OF_THE_SERVER

    @property
    def says_whose_fault(self) -> bool:
        """Whether it is the server's matter by its own words."""
        return self.about_server or self.cause in RATHER_THE_SERVER

    def __init__(self, message: str, *, error: str) -> None:
        super().__init__(message, cause=error)
