# ruff: noqa: N818 - verdicts that are caught by name; "Error" at the end would say nothing more
"""What can go wrong between the writer and the database.

Every exception of aiohttp and aiocouch and every unhappy HTTP status becomes one of these, once,
in `database` and `answers`. The messages name addresses and settings, never credentials.
"""


class DatabaseError(Exception):
    """A request that did not succeed.

    Args:
        message: What happened and, where someone can act, what to do.
        cause: A short fixed word or the HTTP status, for counting.
    """

    def __init__(self, message: str, *, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class Unavailable(DatabaseError):
    """It may pass by itself: no connection, a time-out, 408, 429, 5xx, or no CouchDB answer.

    Args:
        message: What happened.
        cause: See `DatabaseError`.
        maybe_written: Whether the database may have done what was asked and only the answer is
            missing.
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

    @property
    def smaller_may_pass(self) -> bool:
        """Whether a part of it may pass: it took too long, or something in it broke the server."""
        return self.cause in ("timeout", "cut", "408", "500", "502", "504")


class Misconfigured(DatabaseError):
    """An operator has to act, here or on the database: 401, 403, 404, a redirect, a certificate."""


class DatabaseMissing(Misconfigured):
    """CouchDB itself says that the database does not exist (404 `not_found`)."""


class RequestRefused(DatabaseError):
    """400: at least one document is not acceptable, and nothing was written.

    Args:
        message: CouchDB's `error` and `reason`.
    """

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


class TooMuchAtOnce(Exception):
    """A request of several documents failed again and again; a part of it may succeed."""
