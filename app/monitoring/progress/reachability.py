"""Tracks whether Kafka answers; logs each change once."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

NEW_CLUSTER_SECONDS = 3.0
"""Before the first answer: a new cluster has no coordinator of any group for a moment."""

CLOSED_CONNECTION_SECONDS = 1.0
"""After it: brokers close connections now and then, each hour where logins have an end, and the
next question opens another one (`connections.max.reauth.ms`; aio-libs/aiokafka#1105)."""


class Reachability:
    """Follows answers and silence.

    Args:
        address: of Kafka, for the log.
        wall: epoch seconds.
    """

    def __init__(self, address: str, wall: Callable[[], float]) -> None:
        self.away_since: float | None = None
        """Epoch seconds of the first question without an answer since the last one with."""
        self.last_error: str | None = None
        """What was last said; stays when Kafka answers again."""
        self.last_error_at: float | None = None
        """Epoch seconds."""
        self._address = address
        self._wall = wall
        self._said = False
        self._has_answered = False

    def failed(self, why: str) -> None:
        """Kafka did not answer."""
        self.last_error, self.last_error_at = why, self._wall()
        if self.away_since is None:
            self.away_since = self.last_error_at
        patience = CLOSED_CONNECTION_SECONDS if self._has_answered else NEW_CLUSTER_SECONDS
        if not self._said and self.last_error_at - self.away_since >= patience:
            self._said = True
            logger.error(
                "Kafka at %s does not answer: %s; asking until it does", self._address, why
            )

    def answered(self) -> None:
        """Kafka has answered."""
        if self.away_since is not None and self._said:
            lasted = self._wall() - self.away_since
            logger.info("Kafka at %s answers again, after %.0f s", self._address, lasted)
        self.away_since = None
        self._said, self._has_answered = False, True
