"""Tracks whether Kafka answers; logs each change once."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

NEW_CLUSTER_SECONDS = 3.0
"""Seconds without an answer before a message, until the first answer: a new cluster has no group
coordinator for a moment.
"""

CLOSED_CONNECTION_SECONDS = 1.0
"""Seconds without an answer before a message, after the first answer: brokers close connections now
and then, for example when logins expire (`connections.max.reauth.ms`), and the next request opens a
new one (aio-libs/aiokafka#1105).
"""


class Reachability:
    """Follows whether Kafka answers.

    Args:
        address: Kafka's address, for the log.
        wall: epoch seconds.
        clock: monotonic seconds.
    """

    def __init__(self, address: str, wall: Callable[[], float], clock: Callable[[], float]) -> None:
        self.away_since: float | None = None
        """When Kafka first failed to answer since its last answer, in epoch seconds."""
        self.last_error: str | None = None
        """The last error, kept when Kafka answers again."""
        self.last_error_at: float | None = None
        """When that was, in epoch seconds."""
        self._address = address
        self._wall = wall
        self._clock = clock
        self._away_at = 0.0
        self._said = False
        self._has_answered = False

    def failed(self, why: str) -> None:
        """Note that Kafka did not answer."""
        self.last_error, self.last_error_at = why, self._wall()
        if self.away_since is None:
            self.away_since, self._away_at = self.last_error_at, self._clock()
        patience = CLOSED_CONNECTION_SECONDS if self._has_answered else NEW_CLUSTER_SECONDS
        if not self._said and self._clock() - self._away_at >= patience:
            self._said = True
            logger.error(
                "Kafka at %s does not answer: %s; asking until it does", self._address, why
            )

    def answered(self) -> None:
        """Note that Kafka has answered."""
        if self.away_since is not None and self._said:
            lasted = self._clock() - self._away_at
            logger.info("Kafka at %s answers again, after %.0f s", self._address, lasted)
        self.away_since = None
        self._said, self._has_answered = False, True
