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
    """All that is read of a document here: when its activation ended, in epoch millis."""

    end: int = 0


_ENDED = msgspec.json.Decoder(_Ended)


class Latency:
    """Histograms of what a step and the whole way take.

    Args:
        documents: the internal topic.
        wall: epoch seconds.
    """

    def __init__(self, documents: str, wall: Callable[[], float] = time.time) -> None:
        self.steps = {step: Histogram(LATENCIES) for step in Step}
        """From the timestamp of a chunk's first record, by which all of it is counted, to the end
        of the chunk in this step."""
        self.whole = Histogram(LATENCIES)
        """From the end of an activation, one of each chunk, until it is stored."""
        self._documents = documents
        self._wall = wall

    def finished(self, chunk: Chunk) -> None:
        """Every record of the chunk is safe in the next place."""
        now = self._wall()
        step = Step.STORE if chunk.tp.topic == self._documents else Step.ROUTE
        if chunk.timestamp != NO_TIMESTAMP:
            self.steps[step].observe(max(0.0, now - chunk.timestamp / 1000), chunk.count)
        if step is Step.STORE and chunk.records:  # unless it waited so long that it released them
            # Anything may stand there; what it is was decided elsewhere.
            with suppress(ValueError, OverflowError, RecursionError):
                end = _ENDED.decode(chunk.records[0].value or b"").end
                if end > 0:
                    self.whole.observe(max(0.0, now - end / 1000))
