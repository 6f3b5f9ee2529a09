"""Rate-limits what aiokafka logs while a broker is away.

aiokafka logs every attempt to connect, and after an orderly stop of a broker it tries without a
pause: megabytes a minute that say one thing.

Not reported of aiokafka 0.14; Kafka's own clients had it too (KAFKA-3792).

- Symptom: "Unable connect to node with id ...", "Got error produce response ..." and their like,
  hundreds of times a second.
- Reproduction: a producer with one batch to send; stop its broker in an orderly way.
- Mend: a back-off in `Sender._sender_routine` and `Fetcher._fetch_requests_routine` for a node that
  takes no connection, as for one that answers with an error.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable

PERIOD = 30.0
"""Seconds in which a message is logged once."""

REMEMBERED = 1000
"""Messages at most: some come with their arguments filled in."""

NOISY = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)


class Seldom(logging.Filter):
    """Lets each message of a logger pass once in a period, with how often it was meant before.

    Messages are told apart before their arguments are filled in.

    Args:
        period: seconds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, period: float = PERIOD, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._period = period
        self._clock = clock
        self._passed: dict[str, float] = {}
        self._held: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it now."""
        message, now = str(record.msg), self._clock()
        if now - self._passed.get(message, -self._period) < self._period:
            self._held[message] += 1
            return False
        if len(self._passed) >= REMEMBERED:
            self._passed.clear()
        self._passed[message] = now
        if held := self._held.pop(message, 0):
            record.msg, record.args = f"{record.getMessage()} ({held} more before)", ()
        return True


def calm_kafka_clients() -> None:
    """Filter aiokafka's loggers; a filter of a logger does not reach those below it."""
    for name in NOISY:
        logger = logging.getLogger(name)
        if not any(isinstance(known, Seldom) for known in logger.filters):
            logger.addFilter(Seldom())
