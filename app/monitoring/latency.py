"""Measures the latency of records, once for each chunk."""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from app.kafka.delivery import Chunk
from app.kafka.untimed import NO_TIMESTAMP
from app.monitoring.histogram import LATENCIES, Histogram
from app.monitoring.outcomes import Step


class _Ended(msgspec.Struct):
    """When a document's activation ended, in epoch millis."""

    end: int = 0


_ENDED = msgspec.json.Decoder(_Ended)


class Latency:
    """Histograms of the latency of each step, and of the whole way.

    Args:
        documents: the name of the internal topic.
        wall: epoch seconds.
    """

    def __init__(self, documents: str, wall: Callable[[], float] = time.time) -> None:
        self.steps = {step: Histogram(LATENCIES) for step in Step}
        """Seconds from a record's timestamp until its chunk is finished in this step; all records
        of a chunk count with the timestamp of the first one.
        """
        self.whole = Histogram(LATENCIES)
        """Seconds from the end of an activation until it is stored, for one activation per chunk.
        """
        self._documents = documents
        self._wall = wall

    def finished(self, chunk: Chunk) -> None:
        """Record a chunk whose records are all safe in their next place."""
        now = self._wall()
        step = Step.STORE if chunk.tp.topic == self._documents else Step.ROUTE
        if chunk.timestamp != NO_TIMESTAMP:
            self.steps[step].observe(max(0.0, now - chunk.timestamp / 1000), chunk.count)
        if step is Step.STORE and chunk.records:  # empty if they were released early
            # The value may be anything; what becomes of it was decided elsewhere.
            with suppress(ValueError, OverflowError, RecursionError):
                end = _ENDED.decode(chunk.records[0].value or b"").end
                if end > 0:
                    self.whole.observe(max(0.0, now - end / 1000))
