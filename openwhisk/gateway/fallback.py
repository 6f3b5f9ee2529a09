"""Decides where records go: to Kafka or, while that is away, to CouchDB itself. Pure."""

import logging
import time
from collections.abc import Callable
from enum import StrEnum

logger = logging.getLogger(__name__)

_TRIAL_PAUSE = 1.0
"""Seconds between two writes that try Kafka while it is away."""


class Fallback(StrEnum):
    """Where records go while Kafka is away (`GATEWAY_FALLBACK`)."""

    COUCHDB = "couchdb"
    """The gateway writes them to CouchDB itself."""

    NONE = "none"
    """Nowhere: their writes wait for as long as the clients do."""


class Switch:
    """Tracks whether Kafka is away, by the outcome of writes that tried it.

    While it is away, a write still tries it now and then, so that the switch closes by itself.

    Args:
        fallback: where records go while Kafka is away.
        clock: monotonic seconds.
    """

    def __init__(self, fallback: Fallback, clock: Callable[[], float] = time.monotonic) -> None:
        self.fallback = fallback
        self.away_since: float | None = None
        """Since when Kafka has not acknowledged in time, in monotonic seconds; None if it does."""
        self.direct = 0
        """How many records were written to CouchDB since then."""
        self._clock = clock
        self._trial_at = 0.0

    @property
    def open(self) -> bool:
        """Whether records go to CouchDB now."""
        return self.away_since is not None and self.fallback is Fallback.COUCHDB

    def tries_kafka(self) -> bool:
        """Whether this write should try Kafka first."""
        if not self.open:
            return True
        if self._clock() < self._trial_at:
            return False
        self._trial_at = self._clock() + _TRIAL_PAUSE
        return True

    def late(self, reason: str) -> None:
        """Note that Kafka has not acknowledged records in time."""
        if self.away_since is not None:
            return
        self.away_since = self._clock()
        self._trial_at = self.away_since + _TRIAL_PAUSE
        self.direct = 0
        logger.error(
            "Kafka takes no records (%s): %s",
            reason,
            "writing them to CouchDB directly until it does (GATEWAY_FALLBACK=couchdb)"
            if self.fallback is Fallback.COUCHDB
            else "holding them for as long as their clients wait (GATEWAY_FALLBACK=none)",
        )

    def acknowledged(self) -> None:
        """Note that Kafka has acknowledged records."""
        if self.away_since is None:
            return
        logger.warning(
            "Kafka takes records again, after %.1f s; %d were written to CouchDB directly",
            self._clock() - self.away_since,
            self.direct,
        )
        self.away_since = None
