"""Counters of the writer, for `/status` and `/metrics`."""

from collections import Counter
from dataclasses import dataclass, field

from app.monitoring.histogram import (
    REQUEST_BYTES,
    REQUEST_DOCUMENTS,
    REQUEST_SECONDS,
    Histogram,
)


@dataclass(slots=True)
class WriterStats:
    """Counters since the start of the worker."""

    requests: Counter[str] = field(default_factory=Counter)
    """HTTP requests by status, or by a word when there was none (`timeout`, `connection` …)."""

    durations: Histogram = field(default_factory=lambda: Histogram(REQUEST_SECONDS))
    """Seconds that requests took, whatever came of them."""

    sizes: Histogram = field(default_factory=lambda: Histogram(REQUEST_DOCUMENTS))
    """Documents in bulk requests."""

    bytes: Histogram = field(default_factory=lambda: Histogram(REQUEST_BYTES))
    """Their bytes."""

    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated, by cause: as above, or what an entry said."""

    documents_written: int = 0
    """Documents that the database acknowledged with a revision."""

    conflicts_read_back: int = 0
    """Documents compared with the stored one."""

    narrowing_requests: int = 0
    """Further requests made to find the document behind a 400, a 413 or a time-out."""
