"""How much a reader may take of a topic to which strangers may write. Pure."""

import time
from collections.abc import Callable, Sequence

from app.kafka.records import Record

RATE = 1024 * 1024
"""Bytes per second in the long run. Of the cheapest records to write it is five hundred, which take
one or two percent of a processor; a group of two hundred workers writes a third of it."""

MOST = 32 * 1024 * 1024
"""Bytes at once, after a while in which less has come."""

OF_A_RECORD = 2048
"""Bytes that a record counts beside its contents: what as many bytes of JSON cost to read."""

_OF_A_HEADER = 100

_AT_LEAST = 0.5
"""Seconds that are saved up before anything is taken again."""


class Allowance:
    """A token bucket.

    Args:
        rate: bytes per second.
        most: bytes at once.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        rate: float = RATE,
        most: float = MOST,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._most = most
        self._clock = clock
        self._left = most
        self._at = clock()

    def spend(self, size: int) -> None:
        """Note that so many bytes were taken, even if there were fewer left."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate) - size
        self._at = now

    def wait(self) -> float:
        """Seconds until anything may be taken again; 0 while there is something left."""
        self.spend(0)
        return 0.0 if self._left > 0 else _AT_LEAST - self._left / self._rate


def cost(records: Sequence[Record]) -> int:
    """What it costs to have read these records, in bytes."""
    size = OF_A_RECORD * len(records)
    for record in records:
        size += len(record.value or b"") + len(record.key or b"")
        size += sum(_OF_A_HEADER + len(name) + len(value or b"") for name, value in record.headers)
    return size
