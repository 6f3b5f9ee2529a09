"""What the writer counts, for `/status` and `/metrics`."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class WriterStats:
    """Counters since the start of the worker."""

    requests: Counter[str] = field(default_factory=Counter)
    """HTTP requests by status, or by a word when there was none (`timeout`, `connection` …)."""

    request_seconds: float = 0.0
    """Time that answered requests took, all together."""

    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated, by cause: as above, or what an entry said."""

    documents_written: int = 0
    """Documents that the database acknowledged with a revision."""

    conflicts_read_back: int = 0
    """Documents compared with the stored one."""

    narrowing_requests: int = 0
    """Further requests made to find the document behind a 400, a 413 or a time-out."""
