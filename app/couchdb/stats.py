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
    """HTTP requests by status, or by a word if there was none (`timeout`, `connection` …)."""

    durations: Histogram = field(default_factory=lambda: Histogram(REQUEST_SECONDS))
    """Duration of requests in seconds, whatever their outcome."""

    sizes: Histogram = field(default_factory=lambda: Histogram(REQUEST_DOCUMENTS))
    """Documents in bulk requests."""

    bytes: Histogram = field(default_factory=lambda: Histogram(REQUEST_BYTES))
    """Bytes in bulk requests."""

    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated, by cause: as in `requests`, or an entry's error."""

    documents_written: int = 0
    """Documents that the database acknowledged with a revision."""

    conflicts_read_back: int = 0
    """Documents that were compared with the stored one after a conflict."""

    compared: int = 0
    """Documents that were settled by what is stored, without a request that writes them."""

    narrowing_requests: int = 0
    """Additional requests to find the document behind a 400, a 413 or a time-out."""
